/**
 * Whom the console talks to beside its own service: the issuer, the storage that signed links of uploads lead to, and what a stage names.
 *
 * An issuer that is no address cannot be logged in at, and is left out.
 */
export const originsOf = ({
  issuer,
  bucket,
  others,
  env,
}: {
  issuer: string;
  bucket: string;
  /** Separated by spaces. */
  others: string;
  env: Readonly<Record<string, string | undefined>>;
}): string[] => {
  const endpoint = env['AWS_ENDPOINT_URL_S3'] ?? env['AWS_ENDPOINT_URL'];
  const storage = endpoint ?? `https://${bucket}.s3.${env['AWS_REGION']}.amazonaws.com`;
  const addresses = [storage, issuer, ...others.split(' ')];
  return [...new Set(addresses.filter((address) => URL.canParse(address)).map((address) => new URL(address).origin))];
};
