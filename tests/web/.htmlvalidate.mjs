// The checks of static/index.html.
export default {
  root: true,
  extends: ['html-validate:recommended', 'html-validate:a11y'],
  rules: {
    // Safari takes a list without bullets (`list-style: none`) for no list unless it has the role: WebKit bug 170179.
    'no-redundant-role': 'off',
    'prefer-native-element': ['error', { exclude: ['list'] }],
    // A list may have a name, and two lists in the queue need one.
    'aria-label-misuse': ['error', { allowAnyNamable: true }],
  },
};
