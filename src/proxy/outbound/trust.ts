// Whose certificates HTTPS upstreams may show.
import { type ConnectionOptions, createSecureContext, getCACertificates, rootCertificates } from 'node:tls'

export interface TrustOptions {
  /** Authorities (PEM) besides the system's. */
  readonly authorities?: string | undefined
  /** False takes any certificate for any name. Default true. */
  readonly verify?: boolean
}

export class Trust {
  readonly #authorities: string | undefined
  readonly #verify: boolean
  #options: ConnectionOptions | undefined

  constructor({ authorities, verify = true }: TrustOptions = {}) {
    this.#authorities = authorities
    this.#verify = verify
  }

  /**
   * For a connection. Made when first asked for, since some hundred certificates take a hundred milliseconds; one
   * context for all, since a list would become part of the name under which each connection is kept.
   */
  get options(): ConnectionOptions {
    this.#options ??= {
      rejectUnauthorized: this.#verify,
      secureContext: createSecureContext(this.#verify ? { ca: this.#everybody() } : {}),
    }
    return this.#options
  }

  isAs({ authorities, verify }: TrustOptions): boolean {
    return this.#authorities === authorities && this.#verify === verify
  }

  /** A system may have no list of its own, a bare container for one: then Node's stands in. */
  #everybody(): string[] {
    const system = new Set(getCACertificates('system'))
    const usual = system.size > 0 ? [...system] : [...rootCertificates]
    return this.#authorities === undefined ? usual : [...usual, this.#authorities]
  }
}
