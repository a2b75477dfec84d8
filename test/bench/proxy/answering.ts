// The upstream of benchmarks: an nginx that answers everything with 128 bytes.
import type { NginxPlace } from '../../support/nginx.ts'

export function answering({ port }: NginxPlace): string {
  return `keepalive_requests 1000000000;
    server { listen 127.0.0.1:${port}; default_type text/plain; location / { return 200 "${'x'.repeat(128)}"; } }`
}
