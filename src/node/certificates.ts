// What the TLS listeners show: the certificate that the configuration names, or one of the node's own that it makes when
// it first needs it and keeps in its working directory.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { access, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createSecureContext } from 'node:tls'
import type { Config } from '../config/config.ts'
import type { Fault } from '../config/errors.ts'
import type { KeyPair } from '../plugins/plugin.ts'
import type { Surroundings } from './datastore.ts'
import { CertificateUnusable, type NamedFile } from './errors.ts'
import { makeSelfSigned } from './self-signed.ts'
import type { WorkingDir } from './working-dir.ts'

/** The two files of a pair, each with what people know it by. */
interface PairFiles {
  readonly certificate: NamedFile
  readonly key: NamedFile
}

const dayMs = 24 * 60 * 60 * 1000
/** Of the node's own: longer than a machine is kept. */
const validMs = 3650 * dayMs
/** One that has less left is made anew by a start or a reload. */
const leftMs = 30 * dayMs

/** Who has a certificate of its own, by the beginning of the settings that name it: `<owner>_cert_path` and `…_key_path`. */
export type CertificateOwner = 'ssl' | 'admin_api_ssl'

/**
 * The pair that the settings of `owner` name, read and found to belong together.
 * @throws {CertificateUnusable} naming setting, file and reason
 */
export async function givenPair(
  owner: CertificateOwner,
  certPath: string,
  keyPath: string,
  { clock, logger }: Surroundings,
): Promise<KeyPair> {
  const { pair, expiresAt } = await readPair({
    certificate: { setting: `${owner}_cert_path`, path: certPath },
    key: { setting: `${owner}_key_path`, path: keyPath },
  })
  // Served all the same: some clients don't look, and all others say what is wrong.
  if (expiresAt <= clock.now()) {
    logger.scope('node').warn('the certificate has expired', { path: certPath, expiresAt: iso(expiresAt) })
  }
  return pair
}

/**
 * The node's own pair, for `localhost`; made where there is none.
 * @throws {CertificateUnusable} when what is there is no pair
 */
export async function ownPair(dir: WorkingDir, surroundings: Surroundings): Promise<KeyPair> {
  const hint = 'remove it: the node makes another pair'
  const files = {
    certificate: { setting: 'working_dir', path: dir.certificateFile, hint },
    key: { setting: 'working_dir', path: dir.keyFile, hint },
  }
  if ((await exists(files.certificate.path)) && (await exists(files.key.path))) {
    const { pair, expiresAt } = await readPair(files)
    if (expiresAt - surroundings.clock.now() > leftMs) return pair
  }
  return makePair(files, surroundings)
}

/**
 * The text of a file of authorities.
 * @throws {CertificateUnusable}
 */
export async function readAuthorities(file: NamedFile): Promise<string> {
  const text = await read(file)
  parseCertificate(file, text)
  return text
}

/** What is wrong with the files that `config` names, for whoever only wants to know. */
export async function certificateFaults(
  { proxy, admin }: Config,
  surroundings: Surroundings,
): Promise<Fault[]> {
  const { upstreamAuthorityPath: path } = proxy
  const setting = 'proxy.upstream_certificate_authority'
  const named = [
    ['ssl', proxy.sslCertPath, proxy.sslKeyPath],
    ['admin_api_ssl', admin.sslCertPath, admin.sslKeyPath],
  ] as const
  const results = await Promise.allSettled([
    ...named.map(async ([owner, certPath, keyPath]) => {
      if (certPath !== undefined && keyPath !== undefined)
        await givenPair(owner, certPath, keyPath, surroundings)
    }),
    path === undefined ? undefined : readAuthorities({ setting, path }),
  ])
  return results.flatMap((result) => (result.status === 'rejected' ? [faultOf(result.reason)] : []))
}

function faultOf(error: unknown): Fault {
  if (!(error instanceof CertificateUnusable)) throw error
  const { file, why, hint } = error
  return {
    property: file.setting,
    reason: `${file.path} ${why}`,
    ...(hint !== undefined && { remedy: hint }),
  }
}

async function makePair({ certificate, key }: PairFiles, { clock, random, logger }: Surroundings) {
  const now = clock.now()
  // A day back, for clients whose clocks are behind.
  const pair = makeSelfSigned({ validFrom: now - dayMs, validTo: now + validMs, serial: random.hex(16) })
  const put = async (path: string, text: string, mode: number) => {
    const temporary = `${path}.${random.hex(4)}`
    await writeFile(temporary, text, { mode, flush: true })
    await rename(temporary, path)
  }
  await mkdir(dirname(certificate.path), { recursive: true })
  // The key first: a certificate that is there has its key beside it.
  await put(key.path, pair.key, 0o600)
  await put(certificate.path, pair.certificate, 0o644)
  logger.scope('node').info('a certificate was made', { path: certificate.path })
  return pair
}

async function readPair(files: PairFiles): Promise<{ pair: KeyPair; expiresAt: number }> {
  const pair = { certificate: await read(files.certificate), key: await read(files.key) }
  const parsed = parseCertificate(files.certificate, pair.certificate)
  if (!parsed.checkPrivateKey(parseKey(files.key, pair.key))) {
    const why = `is not the key of the certificate in ${files.certificate.path}`
    throw new CertificateUnusable(files.key, why)
  }
  try {
    // What else TLS may have against it: too short a key, a chain that can't be read.
    createSecureContext({ cert: pair.certificate, key: pair.key })
  } catch (cause) {
    throw new CertificateUnusable(files.certificate, 'is refused by TLS', { cause })
  }
  return { pair, expiresAt: parsed.validToDate.getTime() }
}

async function read(file: NamedFile): Promise<string> {
  try {
    return await readFile(file.path, 'utf8')
  } catch (cause) {
    throw new CertificateUnusable(file, 'cannot be read', { cause })
  }
}

function parseCertificate(file: NamedFile, text: string): X509Certificate {
  try {
    return new X509Certificate(text)
  } catch (cause) {
    throw new CertificateUnusable(file, 'holds no certificate in PEM', { cause })
  }
}

function parseKey(file: NamedFile, text: string): KeyObject {
  if (text.includes('ENCRYPTED')) {
    const hint = `openssl pkey -in ${file.path} -out <another file> writes it without`
    throw new CertificateUnusable(file, 'is protected by a passphrase', { hint })
  }
  try {
    return createPrivateKey(text)
  } catch (cause) {
    throw new CertificateUnusable(file, 'holds no private key in PEM', { cause })
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
