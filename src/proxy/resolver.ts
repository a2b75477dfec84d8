// What to do with a request: which API it is for and what that API's plugins say, all of it as of one position
// of the log. A request that waited for one answer while another changed starts over.
import { codeOf } from '../base/errors.ts'
import type { Row } from '../base/json.ts'
import type { Logger } from '../base/logger.ts'
import type { Position } from '../base/stamp.ts'
import type { Catalog, View } from '../catalog/catalog.ts'
import { Refusal } from '../plugins/plugin.ts'
import type { Admission } from './admission.ts'
import type { ClientAddress } from './client-address.ts'
import {
  apiNotFound,
  changedTooOften,
  NotFresh,
  PluginMissing,
  PositionNotReached,
  plainRefusal,
  resolutionFailed,
  robots,
} from './errors.ts'
import { openRequest } from './forwarding.ts'
import type { Headers } from './headers.ts'
import { AccessRun, type PluginChains, type Step } from './phases.ts'
import type { ProxyRequest } from './proxy-request.ts'
import type { Repeats } from './repeats.ts'
import type { Answer, Client, Incoming } from './request.ts'
import { hostsOf, type Match, type Router } from './router.ts'
import { parseTarget, type Target } from './url.ts'

/**
 * How often a request starts over before it is given up. Each time needs a change of what it asked for, within its
 * few lookups. A last attempt at a pinned position would need answers as of then: the catalog keeps but the newest
 * of each, and every lookup brings it up to date first, so even an attempt within one tick can meet two positions.
 */
const attemptsMax = 5

export interface Resolution {
  /** Null when no API matched. */
  readonly request: ProxyRequest | null
  /** The plugins whose later phases run. */
  readonly steps: readonly Step[]
  /** Undefined when the request goes upstream. */
  readonly answer: Answer | undefined
}

export interface ResolverParts {
  readonly catalog: Catalog
  readonly router: Router
  readonly chains: PluginChains
  readonly admission: Admission
  readonly clientAddress: ClientAddress
  /** How much of a body plugins may have held. Default 8 MiB. */
  readonly heldBytesMax?: number | undefined
  readonly logger: Logger
  readonly repeats: Repeats
}

export class Resolver {
  readonly #parts: ResolverParts

  constructor(parts: ResolverParts) {
    this.#parts = parts
  }

  /** Never throws nor rejects: what fails is an answer. Synchronous when all that is asked for is in memory. */
  resolve(incoming: Incoming, client: Client): Resolution | Promise<Resolution> {
    const failed = (error: unknown) => unrouted(this.#answerTo(error))
    try {
      const resolution = this.#resolve(incoming, client)
      return resolution instanceof Promise ? resolution.catch(failed) : resolution
    } catch (error) {
      return failed(error)
    }
  }

  /** @throws {Unknown} when the catalog can't tell what is configured; so does what it returns */
  #resolve(incoming: Incoming, client: Client): Resolution | Promise<Resolution> {
    const target = parseTarget(incoming.target)
    if (!target) return unrouted(plainRefusal(400))
    if (target.path.startsWith('/robots.txt')) return unrouted(robots)
    const headers = headersOf(incoming, target)
    const { admission } = this.#parts
    const least = admission.leastPosition(incoming, headers)
    const asked = { incoming, target, headers, hosts: hostsOf(headers), least }
    const waited = admission.wait(least, client)
    return waited ? this.#attemptAfter(waited, asked) : this.#attempt(asked, 1)
  }

  async #attemptAfter(waited: Promise<void>, asked: Asked): Promise<Resolution> {
    await waited
    return this.#attempt(asked, 1)
  }

  #attempt(asked: Asked, attempt: number): Resolution | Promise<Resolution> {
    const { catalog, router, admission } = this.#parts
    admission.requireFresh()
    // Opened before the match: it brings the router up to the newest change.
    const view = catalog.view()
    // Each time anew: a datastore that was put back takes positions back.
    admission.check(asked.least, view)
    const { revision } = router
    const match = router.match(asked.hosts, asked.target.path)
    if (!match) return unrouted(apiNotFound(asked.target.path, asked.hosts))

    const decided = this.#access(asked, match, view)
    const checked = (resolution: Resolution) => {
      if (this.#holds(asked, match, view, revision)) return resolution
      // Nothing of what was decided may be used: not even the refusal of a plugin that is gone by now.
      if (attempt === attemptsMax) return { ...resolution, answer: changedTooOften }
      return this.#attempt(asked, attempt + 1)
    }
    return decided instanceof Promise ? decided.then(checked) : checked(decided)
  }

  #holds({ hosts, target, least }: Asked, match: Match, view: View, revision: number): boolean {
    const { router, admission, catalog } = this.#parts
    // It may have taken long to decide.
    if (!admission.isFresh()) return false
    // The view first: it brings the router up to the newest change.
    if (!view.holds()) return false
    // All may have been loaded anew meanwhile, from a datastore that took positions back.
    if (least > 0 && catalog.position() < least) return false
    return router.revision === revision || router.match(hosts, target.path)?.api === match.api
  }

  #access({ incoming, target, headers }: Asked, match: Match, view: View): Resolution | Promise<Resolution> {
    const { chains, clientAddress, heldBytesMax } = this.#parts
    const client = clientAddress(incoming.remoteAddress, headers)
    const request = openRequest(incoming, target, match, client, heldBytesMax)
    const run = new AccessRun(chains, view, request)
    const passed = (answer: Answer | undefined) => ({ request, steps: run.steps, answer })
    const failed = (error: unknown) => passed(this.#answerTo(error, request.api, run.current))
    try {
      const answer = run.start()
      return answer instanceof Promise ? answer.then(passed).catch(failed) : passed(answer)
    } catch (error) {
      return failed(error)
    }
  }

  #answerTo(error: unknown, api?: Row, plugin?: string): Answer {
    if (error instanceof Refusal) return error.answer
    const { logger, repeats } = this.#parts
    const fields = { error, api: api?.id }
    if (error instanceof PluginMissing) {
      repeats.say(`missing ${error.plugin}`, (keptBack) =>
        logger.error('requests refused: a configured plugin is not installed', { ...fields, keptBack }),
      )
    } else if (error instanceof NotFresh) {
      repeats.say('freshness', (keptBack) =>
        logger.warn('requests answered 503: this node may be missing changes', { keptBack }),
      )
    } else if (error instanceof PositionNotReached) {
      repeats.say('position', (keptBack) =>
        logger.warn('requests answered 503: what they ask for is not applied here', { ...fields, keptBack }),
      )
    } else if (codeOf(error) === 'unknown') {
      repeats.say('unknown', (keptBack) =>
        logger.warn('requests answered 503: the datastore cannot be asked', { ...fields, keptBack }),
      )
    } else if (codeOf(error) === 'write-failed') {
      repeats.say(`write ${plugin}`, (keptBack) =>
        logger.warn('requests answered 503: what a plugin writes could not be written', {
          ...{ ...fields, plugin, keptBack },
        }),
      )
    } else if (plugin !== undefined) {
      repeats.say(`access ${plugin}`, (keptBack) =>
        logger.error('a plugin failed, the request was answered 500', { ...fields, plugin, keptBack }),
      )
    } else {
      repeats.say('resolve', (keptBack) =>
        logger.error('a request could not be resolved, it was answered 500', { ...fields, keptBack }),
      )
    }
    return resolutionFailed(error)
  }
}

/** What was asked for: the same in each attempt. */
interface Asked {
  readonly incoming: Incoming
  readonly target: Target
  /** As received, with the host of a target in absolute form. */
  readonly headers: Headers
  readonly hosts: readonly string[]
  /** Nothing older may answer it. */
  readonly least: Position
}

/** For looking at only: unless they differ, they are not copied. */
function headersOf(incoming: Incoming, { authority }: Target): Headers {
  if (authority === undefined) return incoming.headers
  const headers = incoming.headers.copy()
  headers.set('Host', authority)
  return headers
}

function unrouted(answer: Answer): Resolution {
  return { request: null, steps: [], answer }
}
