// A stand-in for Razorpay's checkout.js, with the part of its interface that storefronts use.
(() => {
  const base = new URL(document.currentScript.src).origin;
  window.Razorpay = class {
    constructor(options) {
      this.options = options;
    }
    on() {}
    open() {
      const page = window.open(`${base}/pay/${encodeURIComponent(this.options.order_id)}`, 'razorpay');
      const listen = (event) => {
        if (event.origin !== base || event.source !== page) return;
        window.removeEventListener('message', listen);
        this.options.handler?.(event.data);
      };
      window.addEventListener('message', listen);
    }
  };
})();
