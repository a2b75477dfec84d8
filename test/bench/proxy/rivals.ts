// The proxies that Troop is compared with, each in one process with one thread, with TLS 1.3 by the certificate of the tests.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { certificate, certificateKey } from '../../support/certificate.ts'
import { freePort } from '../../support/free-port.ts'
import { until } from '../../support/log.ts'
import { Nginx } from '../../support/nginx.ts'
import { connect } from '../../support/raw-http.ts'

/** Something that passes requests on to the upstream. */
export interface Rival {
  readonly pid: number
  readonly port: number
  readonly tlsPort: number | undefined
  stop(): Promise<void>
}

/** The certificate of the tests, in files. */
export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
  /** Both, one after the other. */
  readonly both: string
}

export async function writeCertificate(dir: string): Promise<CertificateFiles> {
  const [chain, key, both] = ['certificate.pem', 'key.pem', 'both.pem'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ]
  await writeFile(chain, certificate)
  await writeFile(key, certificateKey)
  await writeFile(both, certificate + certificateKey)
  return { certificate: chain, key, both }
}

/** nginx as its documentation has it, but that bodies pass without being kept first, in either direction, as they do in Troop. */
export async function startNginx(
  program: string,
  upstreamPort: number,
  files: CertificateFiles,
): Promise<Rival> {
  const tlsPort = await freePort()
  const nginx = await Nginx.start(
    program,
    ({ port }) => `keepalive_requests 1000000000;
    client_max_body_size 0;
    upstream up { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port};
      listen 127.0.0.1:${tlsPort} ssl;
      ssl_certificate ${files.certificate};
      ssl_certificate_key ${files.key};
      ssl_protocols TLSv1.2 TLSv1.3;
      location / {
        proxy_pass http://up;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_request_buffering off;
        proxy_max_temp_file_size 0;
      }
    }`,
  )
  return { pid: nginx.pid, port: nginx.port, tlsPort, stop: () => nginx.stop() }
}

export async function startHaproxy(
  program: string,
  upstreamPort: number,
  files: CertificateFiles,
): Promise<Rival> {
  const dir = await mkdtemp(join(tmpdir(), 'troop-haproxy-'))
  const [port, tlsPort] = [await freePort(), await freePort()]
  const path = join(dir, 'haproxy.cfg')
  await writeFile(
    path,
    `global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend all
  bind 127.0.0.1:${port}
  bind 127.0.0.1:${tlsPort} ssl crt ${files.both}
  default_backend up
backend up
  http-reuse always
  server one 127.0.0.1:${upstreamPort}
`,
  )
  const child = await startProgram(program, ['-db', '-f', path], port)
  const stop = async () => {
    await end(child)
    await rm(dir, { recursive: true })
  }
  return { pid: child.pid as number, port, tlsPort, stop }
}

/** Resolves once it listens on the port. */
export async function startProgram(
  program: string,
  args: readonly string[],
  port: number,
  env: Readonly<Record<string, string>> = {},
): Promise<ChildProcess> {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed = (printed + text).slice(-10_000)
    })
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}:\n${printed}`)
    return connect(port).then(
      (socket) => {
        socket.destroy()
        return true
      },
      () => false,
    )
  })
  return child
}

export async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
