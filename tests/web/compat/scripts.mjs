// Finds what the page's scripts use although a supported browser lacks it: syntax, and members of the browser's objects. TypeScript
// says which object a member belongs to, so that methods such as `element.checkVisibility()` are found, too.

import { dirname, relative } from 'node:path';
import ts from 'typescript';
import { browsersWithout, findFeature } from './oldest-browsers.mjs';

/** @typedef {{file: string, line: number, feature: string, browsers: string[]}} Finding */

/** Features of the syntax, by kind of node. @type {Partial<Record<ts.SyntaxKind, string[]>>} */
const SYNTAX = {
  [ts.SyntaxKind.ClassStaticBlockDeclaration]: ['classes', 'static', 'initialization_blocks'],
  [ts.SyntaxKind.PropertyDeclaration]: ['classes', 'public_class_fields'],
  [ts.SyntaxKind.PrivateIdentifier]: ['classes', 'private_class_fields'],
  [ts.SyntaxKind.BarBarEqualsToken]: ['operators', 'logical_or_assignment'],
  [ts.SyntaxKind.AmpersandAmpersandEqualsToken]: ['operators', 'logical_and_assignment'],
  [ts.SyntaxKind.QuestionQuestionEqualsToken]: ['operators', 'nullish_coalescing_assignment'],
  [ts.SyntaxKind.ImportAttributes]: ['statements', 'import', 'import_attributes'],
  [ts.SyntaxKind.BigIntLiteral]: ['builtins', 'BigInt'],
};

/** Interfaces of TypeScript's library that stand for the browser's global object. */
const GLOBAL_OBJECTS = ['Window', 'WorkerGlobalScope', 'ServiceWorkerGlobalScope', 'DedicatedWorkerGlobalScope', 'globals'];

/** @param {string} configPath of a tsconfig.json @returns {Finding[]} */
export function findInScripts(configPath) {
  const { config } = ts.readConfigFile(configPath, ts.sys.readFile);
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, dirname(configPath));
  // All of the language must be known here, so that new methods are found as such and not only as type errors.
  const program = ts.createProgram(fileNames, { ...options, lib: options.lib?.map((name) => name.replace('es2023', 'esnext')) });
  const checker = program.getTypeChecker();
  /** @type {Finding[]} */
  const findings = [];
  for (const source of program.getSourceFiles()) {
    if (!fileNames.includes(source.fileName)) continue;
    visit(source, source);
  }
  return findings;

  /** @param {ts.Node} node @param {ts.SourceFile} source */
  function visit(node, source) {
    for (const path of featuresOf(node)) {
      const feature = findFeature(...path);
      const browsers = feature ? browsersWithout(feature) : [];
      if (browsers.length === 0 || isGuarded(node)) continue;
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
      findings.push({ file: relative(process.cwd(), source.fileName), line: line + 1, feature: path.join('.'), browsers });
    }
    ts.forEachChild(node, (child) => visit(child, source));
  }

  /** The paths in the data of what the node itself uses. @param {ts.Node} node @returns {string[][]} */
  function featuresOf(node) {
    const paths = SYNTAX[node.kind] ? [['javascript', ...SYNTAX[node.kind]]] : [];
    if (node.kind === ts.SyntaxKind.AwaitExpression && isTopLevel(node)) paths.push(['javascript', 'operators', 'await', 'top_level']);
    if (ts.isRegularExpressionLiteral(node)) paths.push(...regularExpressionFeatures(node.text));
    if (ts.isCallExpression(node)) paths.push(...eventFeatures(node));
    if (ts.isIdentifier(node) && !isInType(node)) paths.push(...memberFeatures(node));
    return paths;
  }

  /** @param {ts.Identifier} node a name that may be a member of the browser's objects, or a global of the browser */
  function memberFeatures(node) {
    const symbol = symbolOf(node);
    const declarations = symbol?.declarations?.filter((declaration) => program.isSourceFileDefaultLibrary(declaration.getSourceFile()));
    const paths = (declarations ?? []).map((declaration) => memberPath(node, declaration));
    // A member is declared several times if it belongs to a union, and a global as a type and a value.
    return [...new Map(paths.filter((path) => path !== null).map((path) => [path.join('.'), path])).values()];
  }

  /** @param {ts.Identifier} node */
  function symbolOf(node) {
    if (ts.isBindingElement(node.parent) && node.parent.parent.kind === ts.SyntaxKind.ObjectBindingPattern) {
      const name = (node.parent.propertyName ?? node.parent.name).getText();
      return checker.getTypeAtLocation(node.parent.parent).getProperty(name);
    }
    return checker.getSymbolAtLocation(node);
  }

  /** @param {ts.Identifier} node @param {ts.Declaration} declaration @returns {string[] | null} */
  function memberPath(node, declaration) {
    const name = node.text;
    const owner = declaration.parent;
    if (ts.isInterfaceDeclaration(owner)) {
      const interfaceName = owner.name.text;
      const owners = [...ownerNames(node), interfaceName];
      return firstKnown([
        ...builtinNames(interfaceName).map((builtin) => ['javascript', 'builtins', builtin, name]),
        ...[interfaceName, ...owners].flatMap((owner) => [['api', owner, name], ['api', owner, `${name}_static`]]),
      ]);
    }
    // `declare var Response: { prototype: Response; json(): Response; … }`
    if (ts.isTypeLiteralNode(owner) && ts.isVariableDeclaration(owner.parent)) {
      const objectName = owner.parent.name.getText();
      return firstKnown([['api', objectName, `${name}_static`], ['api', objectName, name], ['javascript', 'builtins', objectName, name]]);
    }
    if (ts.isSourceFile(owner) || ts.isVariableDeclarationList(owner)) {
      return firstKnown([['javascript', 'builtins', name], ['api', name], ...GLOBAL_OBJECTS.map((object) => ['api', object, name])]);
    }
    return null;
  }

  /** The names of the types of the object whose member the node names, including inherited ones. @param {ts.Identifier} node */
  function ownerNames(node) {
    const { parent } = node;
    const object = ts.isPropertyAccessExpression(parent) ? parent.expression : ts.isBindingElement(parent) ? parent.parent : null;
    return object ? typeNames(checker.getTypeAtLocation(object)) : [];
  }

  /** @param {ts.Type} type @returns {string[]} */
  function typeNames(type) {
    if (type.isUnionOrIntersection()) return type.types.flatMap(typeNames);
    const bases = type.isClassOrInterface() ? checker.getBaseTypes(type) : [];
    return [type.symbol?.name ?? '', ...bases.flatMap(typeNames)];
  }

  /** The event in `object.addEventListener('name', …)`. @param {ts.CallExpression} call */
  function eventFeatures(call) {
    const [nameNode] = call.arguments;
    const target = call.expression;
    if (!ts.isPropertyAccessExpression(target) || target.name.text !== 'addEventListener') return [];
    if (!nameNode || !ts.isStringLiteral(nameNode)) return [];
    const owners = typeNames(checker.getTypeAtLocation(target.expression));
    const path = firstKnown(owners.map((owner) => ['api', owner, `${nameNode.text}_event`]));
    return path ? [path] : [];
  }
}

/** What the data calls an interface of TypeScript's library: `ReadonlyArray` is Array. @param {string} name */
function builtinNames(name) {
  const builtin = name.replace(/Constructor$/, '').replace(/^Readonly/, '').replace(/^\w*Iterator(Object)?$/, 'Iterator');
  return /^(Big)?(Int|Uint|Float)\d+(Clamped)?Array$/.test(builtin) ? [builtin, 'TypedArray'] : [builtin];
}

/** @param {string[][]} paths */
function firstKnown(paths) {
  return paths.find((path) => findFeature(...path)) ?? null;
}

/** @param {string} text with its slashes and flags */
function regularExpressionFeatures(text) {
  const flags = text.slice(text.lastIndexOf('/') + 1);
  const paths = [];
  if (/\(\?<[=!]/.test(text)) paths.push(['javascript', 'regular_expressions', 'lookbehind_assertion']);
  if (/\(\?[ims-]+:/.test(text)) paths.push(['javascript', 'regular_expressions', 'modifier']);
  if (flags.includes('v')) paths.push(['javascript', 'builtins', 'RegExp', 'unicodeSets']);
  if (flags.includes('d')) paths.push(['javascript', 'builtins', 'RegExp', 'hasIndices']);
  return paths;
}

/** @param {ts.Node} node */
function isTopLevel(node) {
  return !ts.findAncestor(node, (ancestor) => ts.isFunctionLike(ancestor));
}

/** Whether the name stands in a type, as in a JSDoc comment. @param {ts.Node} node */
function isInType(node) {
  return Boolean(ts.findAncestor(node, (ancestor) => ts.isTypeNode(ancestor) || ts.isJSDoc(ancestor)));
}

/** Whether the name is only asked for (`typeof X`, `member?.()`, `object.member?.other`). @param {ts.Node} node */
function isGuarded(node) {
  const access = ts.isPropertyAccessExpression(node.parent) && node.parent.name === node ? node.parent : node;
  const { parent } = access;
  if (ts.isTypeOfExpression(parent)) return true;
  const isOptional = (ts.isCallExpression(parent) || ts.isPropertyAccessExpression(parent)) && parent.expression === access;
  return isOptional && Boolean(parent.questionDotToken);
}
