/* Parts of a page that follow the server's events. Without this file the page shows what was true when it was loaded. */
(function () {
  "use strict";
  function follow(part) {
    var state = part.parentNode.querySelector(".live-state");
    var source = null, ended = false;
    function over() { /* nothing changes any more, and nothing can be done */
      var acts = document.querySelector("[data-until-over]");
      source.close();
      ended = true;
      if (acts) { acts.hidden = true; }
    }
    function begin() {
      source = new EventSource(part.getAttribute("data-live"));
      source.onmessage = function (event) {
        if (part.contains(document.activeElement)) { return; } /* nobody loses his place */
        part.innerHTML = event.data; /* made and escaped by the server, as the page is */
        if (part.querySelector("[data-over]")) { over(); }
      };
      source.onerror = function () {
        if (source.readyState === EventSource.CLOSED && state) { state.textContent = part.getAttribute("data-lost"); }
      };
    }
    document.addEventListener("visibilitychange", function () {
      if (document.hidden) { source.close(); } else if (!ended && source.readyState === EventSource.CLOSED) { begin(); }
    });
    begin();
  }
  if (window.EventSource) {
    Array.prototype.forEach.call(document.querySelectorAll("[data-live]"), follow);
  }
}());
