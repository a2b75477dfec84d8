// What the system's own files say about names: the hosts file, and how resolv.conf wants short names completed. Which
// servers to ask is read from there too, by the resolver that asks them.
import type { LookupAddress } from 'node:dns'
import { isIP } from 'node:net'

/** Names in lower case with their addresses, IPv4 first, else in the order of the file (hosts(5)). */
export type Hosts = ReadonlyMap<string, readonly LookupAddress[]>

export interface Search {
  readonly domains: readonly string[]
  /** A name with this many dots or more is tried as it is first. */
  readonly ndots: number
}

export function parseHosts(text: string): Hosts {
  const hosts = new Map<string, LookupAddress[]>()
  for (const [address = '', ...names] of words(text)) {
    const family = isIP(address)
    if (family === 0) continue
    for (const name of names) {
      const lower = name.toLowerCase()
      const all = [...(hosts.get(lower) ?? []), { address, family }]
      hosts.set(
        lower,
        all.sort((a, b) => a.family - b.family),
      )
    }
  }
  return hosts
}

/** As resolv.conf(5): of `search` and `domain` lines the last counts. */
export function parseSearch(text: string): Search {
  let domains: string[] = []
  let ndots = 1
  for (const [keyword, ...rest] of words(text)) {
    if (keyword === 'search' || keyword === 'domain') domains = rest.map((domain) => domain.toLowerCase())
    const options = keyword === 'options' ? rest.map((option) => /^ndots:(\d+)$/.exec(option)?.[1]) : []
    for (const given of options) if (given !== undefined) ndots = Math.min(15, Number(given))
  }
  return {
    domains: domains.map((domain) => domain.replace(/\.$/, '')).filter((domain) => domain !== ''),
    ndots,
  }
}

/** What to ask for, in order. A name that ends in a dot is complete. */
export function completions(name: string, { domains, ndots }: Search): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)]
  const completed = domains.map((domain) => `${name}.${domain}`)
  return name.split('.').length > ndots ? [name, ...completed] : [...completed, name]
}

/** Of each line that is no comment. */
function words(text: string): string[][] {
  return text
    .split('\n')
    .map((line) => line.replace(/[#;].*/, '').trim())
    .filter((line) => line !== '')
    .map((line) => line.split(/\s+/))
}
