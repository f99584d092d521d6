import * as z from 'zod/mini';

/** Characters that must not occur in a key of S3, a link or a log line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

const segmentChecks = (maximumLength: number): z.core.$ZodCheck<string>[] => [
  z.minLength(1),
  z.maxLength(maximumLength),
  z.refine((text) => !unprintable.test(text) && !text.includes('/'), 'must not have control characters or a slash'),
  z.refine((text) => text.isWellFormed(), 'must be well-formed Unicode'),
  z.refine((text) => text.trim() === text && text !== '.' && text !== '..', 'must not begin or end with a space, or be . or ..'),
];

/** The same as a pattern for the OpenAPI document: no control characters, no slash, no space at either end, not `.` or `..`. */
const keySegmentPattern =
  '^(?!\\.{1,2}$)(?!\\s)[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029/]*[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029/\\s]$';

/** A text that may be one segment of an object's key in S3. */
export const keySegment = (maximumLength: number) =>
  z.string().check(...segmentChecks(maximumLength), z.meta({ pattern: keySegmentPattern }));

/** Zero-width characters, marks of direction, variation selectors, private and unassigned characters, and every space but the usual one. */
const invisible = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\p{Cn}\u2800]|[^\P{Zs} ]/u;

/** Digits, hyphens, slashes and quotation marks beside those of the keyboard. Their compatibility forms are found by NFKC. */
const twin = /[^\P{Nd}0-9]|[^\P{Pd}-]|[\u2212\u2044\u2215\u2018-\u201f\u2032\u2033\u02bc]/u;

/** A word: what a reader takes for one script. */
const words = /[\p{L}\p{M}\p{Nd}]+/gu;
const latin = /\p{Script=Latin}/u;
const cyrillicOrGreek = /[\p{Script=Cyrillic}\p{Script=Greek}]/u;
/** Letters of Cyrillic and Greek that look like Latin ones. */
const latinTwins = /^[АВЕЅІЈКМНОРСТУХаеѕіјорсухԁһԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧνο\p{Nd}]+$/u;

const codePointOf = (character: string): string => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;

const isMistakenForLatin = (word: string): boolean => cyrillicOrGreek.test(word) && (latin.test(word) || latinTwins.test(word));

/** Names the first character of a version (in NFC) that nobody can see, or that people take for another one; undefined: there is none. */
const findUnreadable = (version: string): string | undefined => {
  // The checks before this one report these.
  if (!version.isWellFormed() || unprintable.test(version)) return undefined;
  const unreadable = [...version].find((character) => invisible.test(character));
  if (unreadable) return `must not have ${codePointOf(unreadable)}, which cannot be seen`;
  for (const character of version) {
    const plain = character.normalize('NFKC');
    if (plain !== character) return `must not have ${codePointOf(character)}, which is mistaken for ${JSON.stringify(plain)}`;
    if (twin.test(character)) return `must not have ${codePointOf(character)} (${character}), which is mistaken for another character`;
  }
  const word = version.match(words)?.find(isMistakenForLatin);
  const letter = word && [...word].find((character) => cyrillicOrGreek.test(character));
  return letter && `must not have ${codePointOf(letter)} (${letter}) in ${JSON.stringify(word)}, where it is mistaken for a Latin letter`;
};

/**
 * The maker's text of a version, wherever it enters: catalogue, filters, reports of devices. In Unicode's form NFC, so that the same text
 * is the same bytes, and made of characters that people can see and tell apart.
 */
export const FirmwareVersion = z.string().check(
  z.normalize('NFC'),
  ...(keySegment(64)._zod.def.checks ?? []),
  z.superRefine((version, context) => {
    const message = version.isWellFormed() && !unprintable.test(version) ? findUnreadable(version) : undefined;
    if (message) context.addIssue({ code: 'custom', message });
  }),
  z.meta({
    description:
      "The maker's text, up to 64 characters, kept in Unicode's form NFC. Characters that cannot be seen, or that are mistaken for " +
      'others, are refused: zero-width ones, digits that are not 0 to 9, Cyrillic letters in a Latin word',
    pattern: keySegmentPattern,
    example: '1.4.2',
  }),
);

/** Differences between two texts by which people mean the same version. */
const foldings = {
  'a leading v': (version: string) => version.replace(/^v\.?(?=\d)/i, ''),
  case: (version: string) => version.toLowerCase(),
  zeros: (version: string) => version.replaceAll(/(?<!\d)0+(?=\d)/g, '').replace(/(?:\.0)+(?![.\d])/, ''),
  'build metadata': (version: string) => version.replace(/\+.*$/s, ''),
} as const;
type Folding = keyof typeof foldings;

export type VersionDifference = Folding | 'a cut end';

const fold = (version: string, names: readonly Folding[]): string => names.reduce((text, name) => foldings[name](text), version);

/** Every combination of foldings, the smallest first. Made only when needed, because most functions never compare two versions. */
const choicesOfFoldings = (): Folding[][] => {
  const names = Object.keys(foldings) as Folding[];
  const choices = Array.from({ length: 2 ** names.length }, (_, bits) => names.filter((_name, i) => bits & (1 << i)));
  return choices.sort((a, b) => a.length - b.length);
};

/** Whether `start` may be `whole`, cut off by a field that was too short: between two parts, or anywhere if it is long. */
const isCut = (whole: string, start: string): boolean => {
  if (start === '' || start.length >= whole.length || !whole.startsWith(start)) return false;
  const isBetweenParts = !/[\p{L}\p{Nd}]{2}/u.test(whole.slice(start.length - 1, start.length + 1));
  return isBetweenParts || start.length >= 15;
};

/**
 * The unimportant differences between two versions, if they have no other ones; otherwise undefined. The order of the two does not matter.
 *
 * @example differencesOf('v1.4.0-RC1', '1.4-rc1') // ['a leading v', 'case', 'zeros']
 */
export const differencesOf = (one: string, other: string): VersionDifference[] | undefined => {
  if (one === other) return undefined;
  const enough = choicesOfFoldings().find((chosen) => fold(one, chosen) === fold(other, chosen));
  if (enough) return enough;
  return isCut(one, other) || isCut(other, one) ? ['a cut end'] : undefined;
};

/** `differs only by a leading v and case`; undefined when the versions are the same or really two. */
export const describeDifference = (one: string, other: string): string | undefined => {
  const differences = differencesOf(one, other);
  return differences && `differs only by ${differences.join(' and ')}`;
};

/**
 * Whether two versions differ only by case or a leading v, which no maker means as two versions. Other small differences (zeros, build
 * metadata, a longer text) have a meaning for some makers, and are only pointed out.
 */
export const isConfusable = (one: string, other: string): boolean =>
  differencesOf(one, other)?.every((difference) => difference === 'case' || difference === 'a leading v') ?? false;
