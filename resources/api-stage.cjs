// Settings of a stage of the API besides its routes. This is a program because osls gives each deployment of the API another name.
module.exports = async ({ resolveVariable, resolveConfigurationProperty }) => {
  const id = `ApiGatewayDeployment${await resolveVariable('sls:instanceId')}`;
  const { requestsPerSecond } = await resolveConfigurationProperty(['custom', 'api']);
  return {
    Resources: {},
    extensions: {
      [id]: {
        // A deployment is a snapshot: it has to be taken after these are there.
        DependsOn: [
          'NoRouteResponse',
          'TooLargeResponse',
          'ThrottledResponse',
          'TimeoutResponse',
          'FailureResponse',
          'RefusalResponse',
          'ErrorResponse',
        ],
        Properties: {
          StageDescription: {
            MetricsEnabled: true,
            TracingEnabled: true,
            ThrottlingRateLimit: requestsPerSecond,
            ThrottlingBurstLimit: 2 * requestsPerSecond,
          },
        },
      },
    },
  };
};
