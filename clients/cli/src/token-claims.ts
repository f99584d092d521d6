/** What a token says of itself. Nobody checks it here: the service does. */
export interface TokenClaims {
  subject: string | null;
  scopes: string[];
  issuer: string | null;
  expires_dt: string | null;
}

/** Undefined: it is no JWT, or none that can be read. */
export const readClaims = (token: string): TokenClaims | undefined => {
  try {
    const { sub, scope, scp, iss, exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<
      'sub' | 'scope' | 'scp' | 'iss' | 'exp',
      unknown
    >;
    const said = scope ?? scp ?? '';
    return {
      subject: typeof sub === 'string' ? sub : null,
      scopes: Array.isArray(said) ? said.map(String) : String(said).split(' ').filter(Boolean),
      issuer: typeof iss === 'string' ? iss : null,
      expires_dt: typeof exp === 'number' ? new Date(exp * 1_000).toISOString() : null,
    };
  } catch {
    return undefined;
  }
};
