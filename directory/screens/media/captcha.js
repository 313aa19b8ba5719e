/* The puzzle: a number whose SHA-256 with the challenge begins with so many zero bits. Plain old script, so that old browsers run it too. */
(function () {
  "use strict";
  var K = [], primes = 0, n = 2, i;
  function fraction(x) { return ((x - Math.floor(x)) * 4294967296) | 0; }
  var START = [];
  for (; primes < 64; n += 1) {
    for (i = 2; i * i <= n && n % i !== 0; i += 1) { /* looking for a divisor */ }
    if (i * i > n) {
      if (primes < 8) { START[primes] = fraction(Math.pow(n, 1 / 2)); }
      K[primes] = fraction(Math.pow(n, 1 / 3));
      primes += 1;
    }
  }
  var W = [];
  function block(h, words) {
    var a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7], t, x, y, t1, t2;
    for (t = 0; t < 64; t += 1) {
      if (t < 16) {
        W[t] = words[t] | 0;
      } else {
        x = W[t - 15];
        y = W[t - 2];
        W[t] = (W[t - 16] + W[t - 7] + (((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)) +
          (((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10))) | 0;
      }
      t1 = (k + (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))) + ((e & f) ^ (~e & g)) + K[t] + W[t]) | 0;
      t2 = ((((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      k = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    return [(h[0] + a) | 0, (h[1] + b) | 0, (h[2] + c) | 0, (h[3] + d) | 0, (h[4] + e) | 0, (h[5] + f) | 0, (h[6] + g) | 0, (h[7] + k) | 0];
  }
  /* The state after all whole blocks of `text`, and what is left of it. */
  function begin(text) {
    var h = START, at = 0, words, j;
    for (; text.length - at >= 64; at += 64) {
      words = [];
      for (j = 0; j < 64; j += 1) { words[j >> 2] = (words[j >> 2] << 8) | text.charCodeAt(at + j); }
      h = block(h, words);
    }
    return { h: h, rest: text.slice(at), n: text.length };
  }
  function finish(state, more) {
    var text = state.rest + more, bits = (state.n + more.length) * 8, h = state.h, words = [], j, blocks = text.length + 9 > 64 ? 2 : 1;
    for (j = 0; j < blocks * 16; j += 1) { words[j] = 0; }
    for (j = 0; j < text.length; j += 1) { words[j >> 2] |= text.charCodeAt(j) << (24 - (j % 4) * 8); }
    words[text.length >> 2] |= 0x80 << (24 - (text.length % 4) * 8);
    words[blocks * 16 - 1] = bits;
    for (j = 0; j < blocks; j += 1) { h = block(h, words.slice(j * 16, j * 16 + 16)); }
    return h[0];
  }
  var box = document.querySelector(".captcha");
  if (!box) { return; }
  var state = box.querySelector(".captcha-state");
  var response = document.getElementById("recaptcha_response_field");
  var start = begin(document.getElementById("recaptcha_challenge_field").value + ":");
  var bits = Number(box.getAttribute("data-bits")), number = 0;
  var form = box.parentNode;
  while (form && form.tagName !== "FORM") { form = form.parentNode; }
  var button = form ? form.querySelector("button") : null;
  function work() {
    var until = new Date().getTime() + 40, j;
    do {
      for (j = 0; j < 200; j += 1, number += 1) {
        if (finish(start, String(number)) >>> (32 - bits) === 0) {
          response.value = String(number);
          state.textContent = box.getAttribute("data-ready");
          if (button) { button.disabled = false; }
          return;
        }
      }
    } while (new Date().getTime() < until);
    setTimeout(work, 0);
  }
  state.textContent = box.getAttribute("data-busy");
  if (button) { button.disabled = true; }
  work();
}());
