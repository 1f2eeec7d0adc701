//! A browser that a test drives: Chromium behind chromedriver, spoken to as WebDriver over plain HTTP.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

pub struct Browser {
    client: reqwest::Client,
    /// The session's address.
    session: String,
    driver: Child,
    /// Of Chromium, which outlives its driver when a test fails.
    process: Option<u64>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(process) = self.process {
            let _ = std::process::Command::new("kill").arg(process.to_string()).status();
        }
    }
}

/// The programs; `None` where one of them is missing.
fn programs() -> Option<(PathBuf, PathBuf)> {
    let named = |variable: &str, names: &[&str]| {
        std::env::var_os(variable).map(PathBuf::from).or_else(|| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
            let candidates =
                names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
            candidates.into_iter().find(|program| program.is_file())
        })
    };
    let browsers = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    Some((named("CHROMIUM_BIN", &browsers)?, named("CHROMEDRIVER_BIN", &["chromedriver"])?))
}

/// A browser for a test; `None` where there is none, which is said under the test's name. Where CI is set that fails.
pub async fn browser(test: &str) -> Option<Browser> {
    if let Some((chromium, chromedriver)) = programs() {
        return Some(Browser::start(&chromium, &chromedriver).await);
    }
    let wanted = std::env::var_os("CI").is_some_and(|ci| ci != "false" && !ci.is_empty());
    assert!(!wanted, "chromium and chromedriver (Debian: chromium-driver) must be installed where CI is set");
    println!("SKIPPED browser_tests::{test}: no chromium or no chromedriver");
    None
}

impl Browser {
    /// A fresh browser with a profile of its own.
    async fn start(chromium: &std::path::Path, chromedriver: &std::path::Path) -> Self {
        let (driver, port) = start_driver(chromedriver).await;
        let client = http_client();
        // Without a sandbox it also runs as root; nothing but the page under test is opened in it. What a browser does
        // by itself (updates, sync) is switched off.
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,1600",
        ];
        let options = json!({ "binary": chromium, "args": arguments });
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "performance": "ALL", "browser": "ALL" },
        });
        let driver_url = format!("http://127.0.0.1:{port}");
        let body = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let created = call(&client, &format!("{driver_url}/session"), Some(&body)).await;
        let id = created["sessionId"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
        let process = created["capabilities"]["goog:processID"].as_u64();
        Self { client, session: format!("{driver_url}/session/{id}"), driver, process }
    }

    pub async fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url })).await;
    }

    /// Runs the body of a JavaScript function in the page and returns what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression of JavaScript is true in the page.
    pub async fn until(&self, expression: &str) {
        let is_true = async {
            while self.run(&format!("return Boolean({expression})")).await != true {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), is_true).await.is_err() {
            let text = self.run("return document.body.innerText").await;
            panic!("never came: {expression}\n{}", text.as_str().unwrap_or_default());
        }
    }

    /// Clicks what a CSS selector finds, as soon as it is there.
    pub async fn click(&self, selector: &str) {
        let quoted = json!(selector);
        self.until(&format!("document.querySelector({quoted})")).await;
        let script = format!(
            "const found = document.querySelector({quoted}); found.scrollIntoView({{block: 'center'}}); found.click()"
        );
        self.run(&script).await;
    }

    /// Types into what a CSS selector finds, as a keyboard would.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.post(&format!("element/{element}/value"), &json!({ "text": text })).await;
    }

    /// Presses what a CSS selector finds, as a finger would. Only then a page may open a window.
    pub async fn press(&self, selector: &str) {
        let element = self.find(selector).await;
        self.post(&format!("element/{element}/click"), &json!({})).await;
    }

    /// The handles of all windows.
    pub async fn windows(&self) -> Vec<String> {
        let handles = call(&self.client, &format!("{}/window/handles", self.session), None).await;
        handles.as_array().unwrap().iter().map(|handle| handle.as_str().unwrap().to_owned()).collect()
    }

    /// What follows is about this window.
    pub async fn go_to_window(&self, handle: &str) {
        self.post("window", &json!({ "handle": handle })).await;
    }

    /// Closes the window that it is about. Go to another one afterwards.
    pub async fn close_window(&self) {
        let closed = self.client.delete(format!("{}/window", self.session)).send().await.unwrap();
        assert!(closed.status().is_success(), "{closed:?}");
    }

    /// As on a screen of this width and height. A window cannot be as narrow as a phone.
    pub async fn on_a_screen_of(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics).await;
    }

    /// As for somebody who prefers dark pages, or does not.
    pub async fn prefer_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &features).await;
    }

    /// Leaves a picture of what is seen where a person can look at it: in the target directory's `tmp`.
    pub async fn keep_picture(&self, name: &str) {
        let picture = call(&self.client, &format!("{}/screenshot", self.session), None).await;
        let picture = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), picture).unwrap();
    }

    /// Every address that the browser asked for since this was last called.
    pub async fn requested(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({ "type": "performance" })).await;
        let asked = |entry: &Value| -> Option<String> {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let sent = event["message"]["method"] == "Network.requestWillBeSent";
            let url = event["message"]["params"]["request"]["url"].as_str()?.to_owned();
            sent.then_some(url)
        };
        entries.as_array().unwrap().iter().filter_map(asked).collect()
    }

    /// What the page complained about in the console.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({ "type": "browser" })).await;
        let severe = entries.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    pub async fn quit(mut self) {
        self.process = None;
        let _ = self.client.delete(&self.session).send().await;
        let _ = self.driver.kill().await;
    }

    /// The driver's id of what a CSS selector finds, as soon as it is there.
    async fn find(&self, selector: &str) -> String {
        self.until(&format!("document.querySelector({})", json!(selector))).await;
        let found = self.post("element", &json!({ "using": "css selector", "value": selector })).await;
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    /// A command of Chromium's own protocol.
    async fn devtools(&self, command: &str, parameters: &Value) {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).await;
    }

    async fn post(&self, command: &str, body: &Value) -> Value {
        call(&self.client, &format!("{}/{command}", self.session), Some(body)).await
    }
}

/// One WebDriver command; panics with what the driver says when it fails.
async fn call(client: &reqwest::Client, url: &str, body: Option<&Value>) -> Value {
    let request = match body {
        Some(body) => client.post(url).json(body),
        None => client.get(url),
    };
    let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
    let value = answer["value"].take();
    assert!(value["error"].is_null(), "{url}: {value:#}");
    value
}

/// chromedriver on a free port of its choice. It ends if another one takes that port at the same moment.
async fn start_driver(chromedriver: &std::path::Path) -> (Child, u16) {
    for _ in 0..10 {
        let mut command = Command::new(chromedriver);
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut driver = command.spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            let port = line.split_once("started successfully on port ");
            if let Some(port) = port.and_then(|(_, rest)| rest.trim_end_matches('.').parse().ok()) {
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return (driver, port);
            }
        }
    }
    panic!("chromedriver ended before it listened");
}

/// A client that is told whose cryptography to use: reqwest is built without a choice of its own.
pub fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
