// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// hooks are where packets meet an enforcement point.
var hooks = []struct {
	at        hns.RuleType
	direction hns.Direction
	chain     string
	hook      *nftables.ChainHook
	priority  nftables.ChainPriority
	device    expr.MetaKey
}{
	{hns.Switch, hns.In, "switch_in", nftables.ChainHookPrerouting, -150, expr.MetaKeyIIFNAME},
	{hns.Host, hns.In, "host_in", nftables.ChainHookInput, 0, expr.MetaKeyIIFNAME},
	{hns.Host, hns.Out, "host_out", nftables.ChainHookOutput, -160, expr.MetaKeyOIFNAME},
	{hns.Switch, hns.Out, "switch_out", nftables.ChainHookOutput, -150, expr.MetaKeyOIFNAME},
}

// isTCP matches TCP.
func isTCP() []expr.Any { return []expr.Any{protocol(), is([]byte{unix.IPPROTO_TCP})} }

// afterForwards is where VFP's rules see the backend of a service in the place of its
// address.
const afterForwards nftables.ChainPriority = -50

// firewall is the table of a pod's rules.
type firewall struct{ *table }

// write replaces all rules by those of a pod's links, in one step. Counters go on.
func (f firewall) write(p *pod) error {
	counted, err := f.counters()
	if err != nil {
		return err
	}
	f.empty()
	filters := map[string][]filter{}
	for name, l := range p.links {
		filters[name] = filtersOf(l.ruled)
	}
	for _, h := range hooks {
		if h.at == hns.Switch && h.direction == hns.Out && p.RulesSeeBackend {
			h.hook, h.priority = nftables.ChainHookPostrouting, afterForwards
		}
		base := f.c.AddChain(&nftables.Chain{
			Name: h.chain, Table: f.Table, Type: nftables.ChainTypeFilter, Hooknum: h.hook, Priority: nftables.ChainPriorityRef(h.priority),
		})
		f.add(base, device(h.device, "lo"), verdict(expr.VerdictAccept))
		f.add(base, known(), verdict(expr.VerdictAccept))
		if p.ChangedRulesCut || p.EqualRulesCut {
			f.add(base, bits(expr.CtKeySTATE, expr.CtStateBitINVALID), isTCP(), verdict(expr.VerdictDrop))
		}
		f.add(base, isFamily(6), f.in(protocol(), nftables.TypeInetProto, ofNumbers([]int{unix.IPPROTO_ICMPV6})),
			f.in(transport(0, 1), nftables.TypeICMP6Type, []span{{[]byte{firstDiscovery}, []byte{lastDiscovery}}, {[]byte{reportV2}, []byte{reportV2}}}),
			verdict(expr.VerdictAccept))
		for _, name := range slices.Sorted(maps.Keys(filters)) {
			for _, x := range filters[name] {
				if x.at == h.at && x.direction == h.direction {
					f.filter(base, device(h.device, name), name, x, counted)
				}
			}
		}
	}
	if err := f.flush(); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	return nil
}

// ICMPv6 of neighbour discovery (RFC 4861) and listener discovery (RFC 2710, 3810).
const (
	firstDiscovery = 130
	lastDiscovery  = 137
	reportV2       = 143
)

// filter adds the rules of a link's filter.
func (f firewall) filter(base *nftables.Chain, ofLink []expr.Any, name string, x filter, counted map[string]uint64) {
	chain := f.c.AddChain(&nftables.Chain{Name: chainName(base.Name, name), Table: f.Table})
	f.add(base, ofLink, jump(chain))
	drop := counterName(name, x.at, x.direction)
	f.c.AddObj(&nftables.CounterObj{Table: f.Table, Name: drop, Packets: counted[drop]})
	for i, rules := range x.tiers {
		tier := f.c.AddChain(&nftables.Chain{Name: fmt.Sprintf("%s_%d", chain.Name, i), Table: f.Table})
		f.add(chain, jump(tier))
		for _, r := range rules {
			f.rule(tier, r, drop)
		}
	}
	for _, r := range x.rules {
		f.rule(chain, r, drop)
	}
	f.add(chain, dropped(drop))
}

func (f firewall) rule(chain *nftables.Chain, r rule, drop string) {
	var match []expr.Any
	if r.family != 0 {
		match = append(match, isFamily(r.family)...)
	}
	for _, in := range r.source {
		from, kind := source(r.family)
		match = append(match, f.in(from, kind, ofPrefixes(in))...)
	}
	for _, in := range r.destination {
		to, kind := destination(r.family)
		match = append(match, f.in(to, kind, ofPrefixes(in))...)
	}
	if len(r.protocols) > 0 {
		match = append(match, f.in(protocol(), nftables.TypeInetProto, ofNumbers(r.protocols))...)
	}
	if len(r.sourcePorts) > 0 {
		match = append(match, f.in(transport(0, 2), nftables.TypeInetService, ofPorts(r.sourcePorts))...)
	}
	if len(r.destinationPorts) > 0 {
		match = append(match, f.in(transport(2, 2), nftables.TypeInetService, ofPorts(r.destinationPorts))...)
	}
	do := map[action][]expr.Any{
		allow: verdict(expr.VerdictAccept), block: dropped(drop), pass: verdict(expr.VerdictReturn),
	}[r.action]
	f.c.AddRule(&nftables.Rule{Table: f.Table, Chain: chain, Exprs: slices.Concat(match, []expr.Any{&expr.Counter{}}, do), UserData: comment(r.id)})
}

// known matches packets of connections that were let through before.
func known() []expr.Any {
	return bits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

func dropped(counter string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: counter}, &expr.Verdict{Kind: expr.VerdictDrop}}
}

func chainName(base, link string) string { return base + "_" + link }

func counterName(link string, at hns.RuleType, d hns.Direction) string {
	return fmt.Sprintf("%s_%s_%s", link, at, d)
}
