/**
 * The origins to which the console sends requests besides its own service: the issuer, the storage to which files are uploaded, and those that
 * a stage names. An issuer that is no address is left out, because nobody can log in there.
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
