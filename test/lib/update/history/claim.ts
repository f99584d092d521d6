/** Something that was promised was not so. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

export const claim = (condition: boolean, what: string, ...details: unknown[]): void => {
  if (!condition) throw new Violation([what, ...details.map((detail) => JSON.stringify(detail))].join('\n  '));
};
