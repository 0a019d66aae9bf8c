// Replaces the page by one sentence in browsers that are too old for it. This is a classic script in the language of
// 2009, because such browsers may not run modules. tests/web/compat/oldest-browsers.mjs says which browsers are supported.
(function () {
  // iOS 15.4, Chrome 100 and Firefox 97 are the first that have all of these.
  var hasModules = 'noModule' in document.createElement('script');
  if (hasModules && 'hasOwn' in Object && 'throwIfAborted' in AbortSignal.prototype) return;
  var body = document.body;
  var view = document.getElementById('old-browser-view');
  // The page's modules find none of their elements, and stop, if the browser runs them at all.
  while (body.firstChild) body.removeChild(body.firstChild);
  if (!view) return;
  view.removeAttribute('hidden');
  body.appendChild(view);
  translate((navigator.language || '').slice(0, 2), view.querySelector('.intro'));

  // Reads the sentence out of the table of the browser's language as text, because the table is a module.
  /** @param {string} language @param {Element | null} intro */
  function translate(language, intro) {
    if (language === 'en') return;
    var request = new XMLHttpRequest();
    request.open('GET', 'js/language/tables/' + language + '.js');
    request.onload = function () {
      var entry = /'oldBrowser\.intro': '([^']*)'/.exec(request.responseText);
      if (!entry || !intro) return;
      document.documentElement.lang = language;
      intro.textContent = entry[1] || '';
    };
    request.send();
  }
})();
