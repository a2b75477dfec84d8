// Shows TLS clients that name an API's host the certificate of that API, and keeps plain requests out if told to.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { codeOf } from '../../base/errors.ts'
import type { Json, JsonObject } from '../../base/json.ts'
import type { Field, FieldVerdict } from '../../entities/define.ts'
import { cameByHttps } from '../forwarded-proto.ts'
import { definePlugin, type KeyPair, type PluginAnswer } from '../plugin.ts'

/** What 0.8 computed and showed. A configuration that comes from there has it; nothing reads it, so it is not kept. */
const computedBefore: Field = {
  type: 'string',
  secret: true,
  check: () => ({ value: null }),
  help: 'of Kong 0.8; taken and not kept',
}

export const ssl = definePlugin({
  name: 'ssl',
  priority: 3000,
  perConsumer: false,
  config: {
    cert: {
      type: 'string',
      required: true,
      check: checkCertificate,
      help: 'PEM: the certificate first, then those between it and its authority',
    },
    key: {
      type: 'string',
      required: true,
      secret: true,
      check: checkKey,
      help: 'PEM: the private key of the certificate, without a passphrase',
    },
    only_https: { type: 'boolean', default: false, help: 'refuse requests that come without TLS' },
    accept_http_if_already_terminated: {
      type: 'boolean',
      default: false,
      help: 'but not those of which X-Forwarded-Proto says that they came by HTTPS',
    },
    _cert_der_cache: computedBefore,
    _key_der_cache: computedBefore,
  },
  checkConfig: checkPair,
  open() {
    /** By configuration, which is the same object as long as nobody changes it. */
    const pairs = new WeakMap<JsonObject, KeyPair>()
    return {
      certificate(_serverName, config) {
        const pair = pairs.get(config) ?? { certificate: String(config.cert), key: String(config.key) }
        pairs.set(config, pair)
        return pair
      },
      access(request, { only_https, accept_http_if_already_terminated }) {
        if (only_https !== true || request.incoming.encrypted) return undefined
        return accept_http_if_already_terminated === true && cameByHttps(request) ? undefined : useHttps
      },
    }
  },
})

/** Byte for byte as in 0.8, `TLS/1.0` too: it is the name of TLS over HTTP (RFC 2817), not a version of TLS. */
const useHttps: PluginAnswer = {
  status: 426,
  body: { message: 'Please use HTTPS protocol' },
  headers: { Connection: 'close, Upgrade', Upgrade: 'TLS/1.0, HTTP/1.1' },
}

function checkCertificate(value: Json): FieldVerdict {
  try {
    new X509Certificate(String(value))
    return undefined
  } catch {
    return { error: 'Invalid SSL certificate' }
  }
}

function checkKey(value: Json): FieldVerdict {
  try {
    createPrivateKey(String(value))
    return undefined
  } catch {
    const isLocked = String(value).includes('ENCRYPTED')
    return { error: `Invalid SSL certificate key${isLocked ? ': it is protected by a passphrase' : ''}` }
  }
}

/** Each of the two is right by itself. */
function checkPair({ cert, key }: JsonObject): string | undefined {
  if (!new X509Certificate(String(cert)).checkPrivateKey(createPrivateKey(String(key)))) {
    return 'key is not the key of the certificate in cert: give both at once'
  }
  try {
    // What else TLS may have against it: too short a key, a chain that can't be read.
    createSecureContext({ cert: String(cert), key: String(key) })
    return undefined
  } catch (error) {
    return `cert and key are refused by TLS (${codeOf(error)}): is the key long enough, and is the whole chain in PEM?`
  }
}
