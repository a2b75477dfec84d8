// Mistakes that could be made in the protocol, each of which the simulation must find. A text that is not in its file any
// more stops the run: the mistake is then to be made anew, in what stands there now.

export interface Mutation {
  /** What is wrong, as a sentence. */
  readonly mistake: string
  readonly edits: readonly Edit[]
}

interface Edit {
  readonly file: string
  readonly from: string
  readonly to: string
}

function one(mistake: string, file: string, from: string, to: string): Mutation {
  return { mistake, edits: [{ file, from, to }] }
}

const follower = 'src/event-log/follower.ts'
const cache = 'src/cache/cache.ts'
const push = 'src/cluster/delivery/push.ts'
const members = 'src/cluster/membership/members.ts'
const cluster = 'src/cluster/cluster.ts'

export const mutations: readonly Mutation[] = [
  one('a fill below its floor is kept', cache, 'if (!reaches(floor, position)) {', 'if (floor.discarded) {'),
  one(
    'a purge lets in what was read before it',
    cache,
    'this.floors.raiseAll(position)\n  }\n\n  /** Another history',
    '}\n\n  /** Another history',
  ),
  one(
    'a fill is kept some time after it was held against its floor',
    'src/cache/single-flight.ts',
    'const entry = this.#shelf.fill(flight.key, value, position, flight.floor, standIn)',
    `const isIn = !flight.floor.discarded && position >= flight.floor.position
    const late = { position: 0, discarded: false }
    if (isIn) queueMicrotask(() => this.#shelf.fill(flight.key, value, position, late, standIn))
    const entry = isIn ? { value, position } : undefined`,
  ),
  one(
    'an older event goes over a newer fill',
    cache,
    'if (held === undefined || held.position >= position) return',
    'if (held === undefined) return',
  ),
  one('a reset leaves entries where they are', cache, 'this.#lru.clear()\n', '\n'),
  one(
    'what a row was called before stays cached',
    'src/catalog/apply.ts',
    'if (before !== null && before !== after) operations',
    'if (before !== null && after === undefined) operations',
  ),
  one(
    'a row of all lists comes into none that is held',
    'src/catalog/apply.ts',
    "return [{ kind: 'include-all', ...all, row }]",
    'return []',
  ),
  one(
    'a row that leaves all lists stays in those that are held',
    'src/catalog/apply.ts',
    "if (wasEverywhere) operations.push({ kind: 'exclude-all', ...all, id: idOf(old) })",
    'if (wasEverywhere) operations.push()',
  ),
  one(
    'a list that was read before a row came into all lists is kept',
    cache,
    'this.floors.raiseAll(position, prefix)\n    for (const key of [',
    'for (const key of [',
  ),
  one(
    'what is not known is taken for absent',
    'src/cache/single-flight.ts',
    'this.#settle(flight, (waiter) => waiter.reject(error))\n    }',
    'this.#settle(flight, (waiter) => waiter.resolve({ value: null, position: this.#options.position(), standIn: true }))\n    }',
  ),
  one(
    'purged entries do not stand in for a datastore that is away',
    'src/cache/single-flight.ts',
    "codeOf(error) === 'datastore-away' && this.#shelf",
    "codeOf(error) === 'nothing' && this.#shelf",
  ),
  one(
    'a fill is handed out before the log is where it was read',
    'src/catalog/agent-catalog.ts',
    'if (found.position > this.#applied.position) await this.#reach(found.position, histories)\n      if',
    'if',
  ),
  one(
    'a worker looks things up before it has taken what was posted',
    'src/catalog/link.ts',
    'const target = Atomics.load(this.#counts, posted)',
    'const target = this.#taken',
  ),
  one(
    'what is posted to a worker is not counted',
    'src/catalog/link.ts',
    'const count = Atomics.add(this.#counts, posted, 1n) + 1n',
    "const count = Atomics.add(this.#counts, posted, message.kind === 'changes' ? 0n : 1n) + 1n",
  ),
  one(
    'a request that met two positions goes on',
    'src/proxy/resolver.ts',
    'if (!view.holds()) return false',
    '',
  ),
  one(
    'X-Troop-Min-Position is ignored',
    'src/proxy/admission.ts',
    'return headers.has(minPositionHeader) ? this.#positionIn(incoming, headers) : 0',
    'return 0',
  ),
  one(
    'X-Troop-Min-Position is waited for and not checked',
    'src/proxy/admission.ts',
    'if (view.position < least) throw new PositionNotReached(least)',
    '',
  ),
  {
    mistake: 'a stale node that is to refuse answers',
    edits: [
      {
        file: 'src/proxy/admission.ts',
        from: 'if (!this.isFresh()) throw new NotFresh()',
        to: 'if (this.#parts === undefined) throw new NotFresh()',
      },
      { file: 'src/proxy/resolver.ts', from: 'if (!admission.isFresh()) return false', to: '' },
    ],
  },
  // What gives positions out is SQL (integration/log.test.ts holds it against Postgres); this is its model.
  one(
    'positions are drawn before the commit: one becomes visible that readers are past',
    'test/simulation/datastore.ts',
    'return this.#append(changes.list, actor, changes.tables)',
    `if (actor !== null || changes.list.length === 0) return this.#append(changes.list, actor, changes.tables)
    this.#enter(this.#events.at(-1) as LogEvent, changes.tables, changes.list, this.#recipients())
    for (const tell of this.listeners) tell(this.head.first)
    return { stamp: { position: this.head.position, digest: this.head.digest }, nodes: this.#recipients() }`,
  ),
  one(
    'nothing is pulled once the listener is back',
    'src/event-log/listener.ts',
    '      this.#parts.onNews()\n',
    '',
  ),
  one(
    'heads are compared by their positions alone',
    follower,
    'answered.position < sentAt.position || (known && known.digest !== answered.digest)',
    'answered.position < sentAt.position',
  ),
  one(
    'the head that a heartbeat reads is not heeded',
    'src/event-log/pull.ts',
    'follower.observe(sentAt, head)',
    '',
  ),
  {
    mistake: 'pushed events are applied whatever their digests, and whatever is missing before them',
    edits: [
      {
        file: follower,
        from: "if (news[0]?.position !== this.#applied.position + 1) return 'gap'",
        to: '',
      },
      { file: follower, from: 'if (!continues(this.#applied, news)) {', to: 'if (news.length === 0) {' },
    ],
  },
  one(
    'pushed events are applied whatever their digests',
    follower,
    'if (!continues(this.#applied, news)) {',
    'if (news.length === 0) {',
  ),
  one(
    'transactions are applied event by event',
    follower,
    'for (const transaction of transactionsOf(events)) {',
    'for (const transaction of events.map((event) => [event])) {',
  ),
  one(
    'a node jumps first and loads later',
    follower,
    'const stamp = await this.#parts.subscriber.load(reason)',
    'this.#advance(await this.#parts.log.head())\n      const stamp = await this.#parts.subscriber.load(reason)',
  ),
  one(
    'a push is acknowledged before what it lacks was pulled',
    push,
    "if (outcome === 'gap') await applier.reach(to, pullLimitMs, 'push')",
    "if (outcome === 'gap') return { life: self().life, position: to, digest: events.at(-1)?.digest ?? '' }",
  ),
  one(
    'acknowledgements count whatever their digest',
    push,
    'if (position < change.position || known !== digest || !(await applier.holds(change)))',
    'if (position < change.position || !(await applier.holds(change)))',
  ),
  {
    mistake: 'a node acknowledges in the life that stands under its name, its own or not',
    edits: [
      {
        file: cluster,
        from: 'life: this.#heartbeat?.life ?? 0 }),',
        to: 'life: this.#lastLife ?? this.#heartbeat?.life ?? 0 }),',
      },
      {
        file: cluster,
        from: '  #isStale = false\n',
        to: '  #isStale = false\n  #lastLife: number | undefined\n',
      },
      {
        file: cluster,
        from: '    const changes = nodeChanges(events)\n',
        to: `    const changes = nodeChanges(events)
    const isOurs = (change: (typeof changes)[number]) => change.new?.name === this.name && change.new.life === null
    if (changes.some(isOurs)) this.#lastLife = (events.at(-1) as LogEvent).position\n`,
      },
    ],
  },
  one(
    'acknowledgements of any life count',
    'src/cluster/delivery/acknowledgements.ts',
    'if (this.#missing.get(name)?.life !== life) return false',
    'if (!this.#missing.has(name)) return false',
  ),
  one(
    'one that was forced out need not acknowledge from the start',
    'src/cluster/delivery/acknowledgements.ts',
    'if (lapsesMs === null || elapsedMs <= lapsesMs) continue',
    'if (lapsesMs === null) continue',
  ),
  one(
    'who must acknowledge is read from the view of the members',
    'src/node/agent.ts',
    'return this.cluster.deliver(stamp, nodes, waitMs)',
    `const alive = this.cluster.members().filter(({ status }) => status === 'alive')
    const recipients = alive.map(({ name, life }) => ({ name, life, lapsesMs: null, expired: false }))
    return this.cluster.deliver(stamp, nodes.length > 0 ? recipients : [], waitMs)`,
  ),
  one(
    'a row that has expired need not acknowledge',
    'src/cluster/cluster.ts',
    '!(node.expired && this.#rounds?.isGone(node))',
    '!node.expired',
  ),
  one(
    'a node loads before it registers',
    'src/node/agent.ts',
    'const bound = await this.cluster.start(resources)\n    await this.#follower.start()',
    'await this.#follower.start()\n    const bound = await this.cluster.start(resources)',
  ),
  one(
    'a join is no reason to prove what is held',
    'src/node/agent.ts',
    'if (this.cluster.notice(events, path)) this.catalog.proveAnew()',
    'this.cluster.notice(events, path)',
  ),
  one(
    'the APIs are not read again after a join',
    'src/catalog/agent-catalog.ts',
    'void this.#proveProjection()',
    '',
  ),
  {
    mistake: 'a node that was forced out goes on',
    edits: [
      {
        file: 'src/cluster/delivery/heartbeat.ts',
        from: "else if (holding !== 'held') await this.#renew(holding)",
        to: '',
      },
      {
        file: 'src/cluster/cluster.ts',
        from: '(certain ? this.#heartbeat?.expire() : this.#heartbeat?.hurry())',
        to: 'certain && this.#heartbeat?.hurry()',
      },
    ],
  },
  // As above: the condition is SQL (integration/registry.test.ts), and this is its model.
  one(
    'a heartbeat is written whatever life stands under the name',
    'test/simulation/forms.ts',
    "const isHeld = row?.life === life && row.status !== 'left'",
    "const isHeld = row !== undefined && row.status !== 'left'",
  ),
  one(
    'who has lost the name keeps it',
    'src/cluster/membership/registration.ts',
    "if (why === 'taken') this.#newName ??= await rename()",
    '',
  ),
  one(
    'a node does not contradict what is said of it',
    members,
    'this.#sayOfSelf(state, rumour.incarnation + 1, now)',
    '',
  ),
  one(
    'a connection that was lost is not made again',
    members,
    'return this.#act(now, () => this.#wantConnection(name, now))',
    'return this.#act(now, () => undefined)',
  ),
]
