// Pages run in browsers as modules; the load scenarios run in k6, which has globals of its own.
import js from "@eslint/js";
import globals from "globals";

const rules = {
  "no-var": "error",
  "prefer-const": "error",
  eqeqeq: ["error", "smart"],
  "no-implicit-globals": "error",
  "no-shadow": "error",
  "no-use-before-define": ["error", { functions: false, variables: false }],
  "no-unused-vars": ["error", { args: "after-used", caughtErrors: "none", ignoreRestSiblings: true }],
  "no-unused-private-class-members": "off", // It does not count `??=` as a use.
  "no-eval": "error",
  "no-implied-eval": "error",
  "no-new-func": "error",
  "no-script-url": "error",
  // Text from the server never becomes markup: pages set `textContent`.
  "no-restricted-properties": ["error", { property: "innerHTML" }, { property: "outerHTML" }, { property: "insertAdjacentHTML" }],
};

export default [
  { ignores: ["**/node_modules/", ".venv/", "static-root/", ".data*/"] },
  js.configs.recommended,
  { files: ["**/*.js", "tests/**/*.mjs"], rules, linterOptions: { reportUnusedDisableDirectives: "error" } },
  { files: ["trade/**/*.js", "console/**/*.js"], languageOptions: { sourceType: "module", globals: globals.browser } },
  { files: ["tests/**/*.mjs"], languageOptions: { sourceType: "module", globals: globals.node } },
  {
    files: ["k6/**/*.js"],
    languageOptions: { sourceType: "module", globals: { __ENV: "readonly", __VU: "readonly", __ITER: "readonly", console: "readonly" } },
  },
];
