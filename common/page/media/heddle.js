/* Copy buttons. Everything works without this file. */
(function () {
  "use strict";
  var buttons = document.querySelectorAll(".copy");
  function copy(button) {
    var code = document.getElementById(button.getAttribute("data-copy"));
    var before = button.textContent;
    function done() {
      button.textContent = button.getAttribute("data-done");
      setTimeout(function () { button.textContent = before; }, 2000);
    }
    function select() {
      var range = document.createRange();
      range.selectNodeContents(code);
      var selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      try { if (document.execCommand("copy")) { done(); } } catch (e) { /* it stays selected */ }
    }
    if (navigator.clipboard && navigator.clipboard.writeText) {
      navigator.clipboard.writeText(code.textContent).then(done, select);
    } else {
      select();
    }
  }
  Array.prototype.forEach.call(buttons, function (button) {
    button.hidden = false;
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", function () { copy(button); });
  });
}());
