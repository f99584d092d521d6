import type { SQSEvent } from 'aws-lambda';

interface ObjectCreatedOptions {
  /** As S3 writes it into the event: percent-encoded, a space as a plus. */
  encodedKey: string;
  version_id: string | undefined;
  eventName?: string;
  eventVersion?: string;
}

/** The message of S3 about a new object, in the words of its documentation. */
export const objectCreated = ({ encodedKey, version_id, eventName = 'ObjectCreated:Put', eventVersion = '2.1' }: ObjectCreatedOptions) => ({
  Records: [
    {
      eventVersion,
      eventSource: 'aws:s3',
      awsRegion: 'eu-central-1',
      eventTime: '2026-11-24T08:00:00.000Z',
      eventName,
      userIdentity: { principalId: 'AWS:AROA:pipeline' },
      requestParameters: { sourceIPAddress: '203.0.113.7' },
      responseElements: { 'x-amz-request-id': 'C3D13FE58DE4C810', 'x-amz-id-2': 'FMyUVURIY8' },
      s3: {
        s3SchemaVersion: '1.0',
        configurationId: 'firmwares',
        bucket: { name: 'memory', ownerIdentity: { principalId: 'A3NL1KOZZKExample' }, arn: 'arn:aws:s3:::memory' },
        object: {
          key: encodedKey,
          size: 14,
          eTag: 'd41d8cd98f00b204e9800998ecf8427e',
          versionId: version_id,
          sequencer: '0055AED6DCD90281E5',
        },
      },
    },
  ],
});

/** What Lambda hands to a function that reads a queue: bodies that are no text are sent as JSON. */
export const sqsEvent = (bodies: Readonly<Record<string, unknown>>): SQSEvent => ({
  Records: Object.entries(bodies).map(([messageId, body]) => ({
    messageId,
    receiptHandle: `receipt-${messageId}`,
    body: typeof body === 'string' ? body : JSON.stringify(body),
    attributes: { ApproximateReceiveCount: '1', SentTimestamp: '0', SenderId: 's3', ApproximateFirstReceiveTimestamp: '0' },
    messageAttributes: {},
    md5OfBody: '',
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:eu-central-1:000000000000:registrations',
    awsRegion: 'eu-central-1',
  })),
});
