import { AwsV4Signer } from 'aws4fetch';
import { expect, it } from 'vitest';
import { signPost } from '../../lib/aws-signature.ts';

// Another implementation, that its users hold against AWS itself.
it.each([{ sessionToken: undefined }, { sessionToken: 'IQoJb3JpZ2luX2VjEJr/+==' }])(
  'signs as aws4fetch does: %j',
  async ({ sessionToken }) => {
    const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'secretsmanager.GetSecretValue' };
    const body = JSON.stringify({ SecretId: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:fleet/ж-AbCdEf' });
    const signed = await new AwsV4Signer({
      ...{ url: 'http://127.0.0.1:4566/', method: 'POST', service: 'secretsmanager', region: 'eu-central-1', datetime: '20261124T080000Z' },
      ...{ ...credentials, ...(sessionToken && { sessionToken }), allHeaders: true, headers, body },
    }).sign();
    const ours = signPost(
      { host: '127.0.0.1:4566', service: 'secretsmanager', region: 'eu-central-1', body, headers },
      { ...credentials, ...(sessionToken && { sessionToken }) },
      new Date('2026-11-24T08:00:00.000Z'),
    );
    expect(ours).toEqual(Object.fromEntries(signed.headers));
  },
);
