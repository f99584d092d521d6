const secretNames = 'signature|credential|token|secret|password|passwd|api[_-]?key|access[_-]?key(?:[_-]?id)?|\\bsig';

/**
 * Secrets that devices and the backend quote: SWUpdate tells its own log, in which is the signed link that it was led to; some clients tell
 * their token, a backend the address that a download failed from. Whoever may read sees these texts. None of the patterns looks at a long
 * text more than a few times.
 */
const secrets: readonly [RegExp, string][] = [
  // Parameters of an address, whichever cloud has signed it, and settings in a log.
  [new RegExp(`((?:${secretNames})(?:=|%3D))[^&\\s"'<>]+`, 'gi'), '$1…'],
  [new RegExp(`((?:${secretNames}|authorization)"\\s{0,9}:\\s{0,9}")[^"]+`, 'gi'), '$1…'],
  [/((?:TargetToken|GatewayToken)\s{1,9})[^\s"]+/gi, '$1…'],
  [/\b((?:Bearer|Basic)\s{1,9})[\w.~+/=-]{6,}/gi, '$1…'],
  // Name and password in an address.
  [/(:\/\/[^\s/:@]{0,256}:)[^\s/@]{1,256}@/g, '$1…@'],
  // JWTs, among them our own manifests.
  [/(?<![\w-])eyJ[\w-]{8,}\.[\w.-]+/g, 'eyJ…'],
];

export const withoutSecrets = (text: string): string => secrets.reduce((masked, [secret, mask]) => masked.replaceAll(secret, mask), text);

/** So much more is looked at than is kept: what is masked becomes shorter. */
const lookedAt = 4;

/** What devices and the backend say, in the form in which it is kept and shown: without secrets, cut, and such that PostgreSQL stores it. */
export const wordsOfOthers = (text: string, maximumLength: number): string =>
  withoutSecrets(text.slice(0, lookedAt * maximumLength))
    .slice(0, maximumLength)
    .replaceAll('\u0000', '')
    .toWellFormed();
