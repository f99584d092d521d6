import * as z from 'zod/mini';
import type { ObjectVersion } from '../ports/storage.ts';

/**
 * S3 writes a space in a key as `+`, one of its emulators as `%20`: both are understood. A key with a `%` that begins no valid code was not
 * encoded by the sender, and is taken as it is.
 */
const Key = z.pipe(
  z.string(),
  z.transform((key, context) => {
    if (/%(?![0-9A-Fa-f]{2})/.test(key)) return key;
    try {
      return decodeURIComponent(key.replaceAll('+', ' '));
    } catch {
      context.issues.push({ code: 'custom', input: key, message: 'is no text in UTF-8 once it is decoded' });
      return z.NEVER;
    }
  }),
);

/** A bucket without versioning has no version ids, and with suspended versioning `null` means the latest object: no link could be pinned. */
const VersionId = z.string().check(
  z.minLength(1),
  z.refine((id) => id !== 'null', 'the bucket has to be versioned'),
);

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html, of major version 2. */
const S3Event = z.pipe(
  z.object({
    Records: z
      .array(
        z.object({
          eventVersion: z.string().check(z.regex(/^2\./)),
          eventName: z.string().check(z.regex(/^ObjectCreated:/)),
          s3: z.object({
            bucket: z.object({ name: z.string() }),
            object: z.object({ key: Key, versionId: VersionId }),
          }),
        }),
      )
      .check(z.minLength(1)),
  }),
  z.transform(({ Records }): ObjectVersion[] => Records.map(({ s3 }) => ({ key: s3.object.key, version_id: s3.object.versionId }))),
);

/** An event about a new object as S3 writes it, for code that sends it in S3's place. */
export const toObjectCreated = ({ key, version_id }: ObjectVersion): z.input<typeof S3Event> => ({
  Records: [
    {
      ...{ eventVersion: '2.1', eventName: 'ObjectCreated:Put' },
      s3: { bucket: { name: 'firmwares' }, object: { key: encodeURIComponent(key), versionId: version_id } },
    },
  ],
});

/** What S3 sends when a notification is configured. */
const TestEvent = z.pipe(
  z.object({ Event: z.literal('s3:TestEvent') }),
  z.transform((): ObjectVersion[] => []),
);

/** The same event when it comes through EventBridge, which does not encode the key. https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html */
const EventBridgeEvent = z.pipe(
  z.object({
    source: z.literal('aws.s3'),
    'detail-type': z.literal('Object Created'),
    detail: z.object({ bucket: z.object({ name: z.string() }), object: z.object({ key: z.string(), 'version-id': VersionId }) }),
  }),
  z.transform(({ detail: { object } }): ObjectVersion[] => [{ key: object.key, version_id: object['version-id'] }]),
);

const SnsNotification = z.object({ Type: z.literal('Notification'), TopicArn: z.string(), Message: z.string() });

/** Each shape of event is recognized by the field that only it has. */
const shapes = [
  ['an event of S3', 'Records', S3Event],
  ['a test event of S3', 'Event', TestEvent],
  ['an event of EventBridge', 'detail-type', EventBridgeEvent],
] as const;

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Takes off the envelope that SNS puts around a message. */
const unwrap = (message: unknown): unknown => {
  const notification = SnsNotification.safeParse(message);
  if (!notification.success) return message;
  try {
    return JSON.parse(notification.data.Message);
  } catch {
    return notification.data.Message;
  }
};

const describe = (message: unknown): string =>
  isObject(message)
    ? `has the fields ${Object.keys(message).slice(0, 10).join(', ') || '(none)'}`
    : `is ${message === null ? 'null' : typeof message}`;

/** The keys that a message is about, for the text that says why it failed. */
const keysIn = (message: unknown): string => {
  const keys = [...JSON.stringify(message).matchAll(/"key":("(?:[^"\\]|\\.)*")/g)].map(([, key]) => key);
  return keys.length > 0 ? `; about ${keys.slice(0, 3).join(', ')}` : '';
};

/**
 * Events about new objects in the bucket, which S3 sends through SQS, also by way of SNS or EventBridge. Markers of folders, whose keys end in
 * a slash, are left out. The error about any other message names its fields and the keys that it is about.
 */
export const ObjectCreatedMessage = z.pipe(
  z.unknown(),
  z.transform((body, context): ObjectVersion[] => {
    const message = unwrap(body);
    const refuse = (why: string) => {
      context.issues.push({ code: 'custom', input: body, message: why });
      return z.NEVER;
    };
    const shape = isObject(message) ? shapes.find(([, field]) => Object.hasOwn(message, field)) : undefined;
    if (!shape) return refuse(`This is no event of S3, of EventBridge, or of SNS about an object: it ${describe(message)}`);
    const [name, , schema] = shape;
    const result = schema.safeParse(message);
    if (result.success) return result.data.filter(({ key }) => !key.endsWith('/'));
    const wrong = result.error.issues.map(({ path, message: why }) => `${path.join('.')}: ${why}`);
    return refuse(`This is ${name} that cannot be understood: ${wrong.join('; ')}${keysIn(message)}`);
  }),
);
