// The upstream of benchmarks: an nginx that answers everything with 128 bytes, but with more where the path ends with a name of `sizes`,
// and after the whole body has come where it ends with `swallow`.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Nginx, type NginxPlace } from '../../support/nginx.ts'

/** Bytes of an answer, by the end of the path. */
export const sizes = { '10k': 10 * 1024, '1m': 1024 * 1024 } as const

export async function startUpstream(program: string): Promise<Nginx> {
  const upstream = await Nginx.start(program, answering)
  for (const [name, bytes] of Object.entries(sizes))
    await writeFile(join(upstream.place.files, name), 'x'.repeat(bytes))
  return upstream
}

export function answering({ port, files }: NginxPlace): string {
  // Whatever nginx answers by itself is answered before the body has come: it reads one only for somebody else.
  return `keepalive_requests 1000000000;
    open_file_cache max=10;
    client_max_body_size 0;
    upstream self { server 127.0.0.1:${port}; keepalive 64; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port};
      default_type text/plain;
      location / { return 200 "${'x'.repeat(128)}"; }
      location ~ /(${Object.keys(sizes).join('|')})$ { root ${files}; try_files /$1 =404; }
      location ~ /swallow$ {
        client_body_buffer_size 2m;
        rewrite ^ /swallowed break;
        proxy_pass http://self;
        proxy_pass_request_body off;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Content-Length "";
      }
    }`
}
