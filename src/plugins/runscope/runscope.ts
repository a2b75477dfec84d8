// Sent requests to Runscope, whose collector of traffic is no more.
import { retiredPlugin } from '../retired.ts'

export const runscope = retiredPlugin({
  name: 'runscope',
  priority: 1,
  service: 'Runscope',
  config: {
    api_endpoint: { type: 'url', default: 'https://api.runscope.com' },
    bucket_key: { type: 'string', required: true },
    access_token: { type: 'string', required: true, secret: true },
    timeout: { type: 'number', default: 10_000, help: 'milliseconds' },
    keepalive: { type: 'number', default: 30 },
    log_body: { type: 'boolean', default: false },
  },
})
