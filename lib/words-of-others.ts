const secretNames = 'signature|credential|token|secret|password|passwd|api[_-]?key|access[_-]?key(?:[_-]?id)?|\\bsig';

/**
 * Finds secrets that devices and the backend quote: SWUpdate sends its log, which has the signed link of its download; some clients send their
 * token; a backend sends the address of a failed download. Everybody who may read sees these texts. Each pattern passes a long text only a few times.
 */
const secrets: readonly [RegExp, string][] = [
  // Parameters of a signed address, of whatever cloud, and settings in a log.
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

/** This many times the kept length is searched for secrets, because masking makes a text shorter. */
const lookedAt = 4;

/** The words of devices and of the backend as they are kept and shown: without secrets, cut, and only with characters that PostgreSQL stores. */
export const wordsOfOthers = (text: string, maximumLength: number): string =>
  withoutSecrets(text.slice(0, lookedAt * maximumLength))
    .slice(0, maximumLength)
    .replaceAll('\u0000', '')
    .toWellFormed();
