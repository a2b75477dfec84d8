// Sent requests to Galileo, an analytics service that is no more.
import { retiredPlugin } from '../retired.ts'

export const galileo = retiredPlugin({
  name: 'galileo',
  priority: 0,
  service: 'Galileo',
  config: {
    service_token: { type: 'string', required: true, secret: true },
    environment: { type: 'string' },
    host: { type: 'string', default: 'collector.galileo.mashape.com' },
    port: { type: 'number', default: 443 },
    https: { type: 'boolean', default: true },
    https_verify: { type: 'boolean', default: false },
    log_bodies: { type: 'boolean', default: false },
    retry_count: { type: 'number', default: 10 },
    connection_timeout: { type: 'number', default: 30, help: 'seconds' },
    flush_timeout: { type: 'number', default: 2, help: 'seconds' },
    queue_size: { type: 'number', default: 1000 },
  },
})
