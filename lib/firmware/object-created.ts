import * as z from 'zod/mini';

/** S3 writes keys with `+` for a space; one of its emulators writes `%20`: both are read. */
const decodeKey = (key: string) => decodeURIComponent(key.replaceAll('+', ' '));

/** Without versioning there is none, and while it is suspended `null` names whatever was written last: no link could be pinned. */
const VersionId = z.string().check(
  z.minLength(1),
  z.refine((id) => id !== 'null', 'the bucket has to be versioned'),
);

/**
 * An event of S3's major version 2 as it comes through SQS, or the test event that S3 sends when a notification is configured.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
 */
export const ObjectCreatedMessage = z.union([
  z.pipe(
    z.object({
      Records: z
        .array(
          z.object({
            eventVersion: z.string().check(z.regex(/^2\./)),
            eventName: z.string().check(z.regex(/^ObjectCreated:/)),
            s3: z.object({
              bucket: z.object({ name: z.string() }),
              object: z.object({ key: z.pipe(z.string(), z.transform(decodeKey)), versionId: VersionId }),
            }),
          }),
        )
        .check(z.minLength(1)),
    }),
    z.transform(({ Records }) => Records.map(({ s3 }) => ({ key: s3.object.key, version_id: s3.object.versionId }))),
  ),
  z.pipe(
    z.object({ Event: z.literal('s3:TestEvent') }),
    z.transform(() => []),
  ),
]);
