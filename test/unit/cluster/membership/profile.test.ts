import { expect } from 'chai'
import { formatDuration } from '../../../../src/base/duration.ts'
import { profileOf, profiles } from '../../../../src/cluster/membership/profile.ts'
import { settings } from '../../../../src/config/settings.ts'

describe('a profile', () => {
  it('yields to what is set by itself, and to nothing that is not', () => {
    const profile = profileOf('wan', { probeIntervalMs: 700, probeTimeoutMs: undefined })
    expect(profile).to.deep.equal({ ...profiles.wan, probeIntervalMs: 700 })
  })

  it('has the numbers that the settings name', () => {
    const named = {
      probe_interval: 'probeIntervalMs',
      probe_timeout: 'probeTimeoutMs',
      suspicion_timeout: 'suspicionMs',
      lag_tolerated: 'lagToleratedMs',
      sync_interval: 'syncIntervalMs',
      redial_interval: 'redialMostMs',
    } as const
    for (const [setting, key] of Object.entries(named)) {
      const { instead } = settings[`cluster.${setting as keyof typeof named}`]
      const presets = (['local', 'lan', 'wan'] as const).map(
        (name) => `${formatDuration(profiles[name][key])} ${name}`,
      )
      expect(instead, setting).to.equal(presets.join(', '))
    }
    const { instead } = settings['cluster.indirect_probes']
    for (const { indirectProbes } of Object.values(profiles)) expect(String(indirectProbes)).to.equal(instead)
  })
})
