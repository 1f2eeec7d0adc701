// A stand-in for Razorpay's checkout.js, with the part of its interface that storefronts use.
(() => {
  const base = new URL(document.currentScript.src).origin;
  // What the page has said comes within this time after it was closed.
  const lastWords = 1000;
  window.Razorpay = class {
    constructor(options) {
      this.options = options;
      this.listeners = {};
    }
    on(event, listener) {
      this.listeners[event] = listener;
    }
    open() {
      const { order_id: order, retry, handler, modal } = this.options;
      const query = retry?.enabled === false ? '?retry=off' : '';
      const page = window.open(`${base}/pay/${encodeURIComponent(order)}${query}`, 'razorpay');
      let isPaid = false;
      const listen = ({ origin, source, data }) => {
        if (origin !== base || source !== page) return;
        if (data.error) {
          this.listeners['payment.failed']?.(data);
        } else {
          isPaid = true;
          handler?.(data);
        }
      };
      window.addEventListener('message', listen);
      const watch = setInterval(() => {
        if (!page.closed) return;
        clearInterval(watch);
        setTimeout(() => {
          window.removeEventListener('message', listen);
          if (!isPaid) modal?.ondismiss?.();
        }, lastWords);
      }, 100);
    }
  };
})();
