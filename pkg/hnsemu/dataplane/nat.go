// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// translator is the table that changes addresses.
type translator struct{ *table }

// writeNode replaces what the node does with addresses.
func (t translator) writeNode(x translation) error {
	t.empty()
	all, outside := t.chain("forwards"), t.chain("forwards_outside")
	sources := t.forwards(x.forwards, all, outside)
	in := t.base("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	t.add(in, jump(outside))
	t.add(in, jump(all))
	t.add(t.base("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest), jump(all))
	out := t.base("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	for i, a := range sources {
		mark := []expr.Any{&expr.Ct{Key: expr.CtKeyMARK, Register: register}, is(markOf(i))}
		if a.IsValid() {
			t.add(out, isFamily(family(a)), mark, sourceTo(a, family(a)))
		} else {
			t.add(out, mark, []expr.Any{&expr.Masq{}})
		}
	}
	for _, name := range x.switches {
		// Between two ports of a switch the answer would go past the node.
		t.add(out, device(expr.MetaKeyIIFNAME, name), device(expr.MetaKeyOIFNAME, name),
			bits(expr.CtKeySTATUS, destinationChanged), []expr.Any{&expr.Masq{}})
	}
	for _, m := range x.masquerades {
		t.masquerade(out, m)
	}
	if err := t.flush(); err != nil {
		return fmt.Errorf("write the node's translation: %w", err)
	}
	return nil
}

// writePod replaces what a pod's switch ports do with services. A packet that a service leads
// back to the pod is dropped, unless the pod's address has loopback.
func (t translator) writePod(p *pod) error {
	t.empty()
	all := t.chain("forwards")
	t.forwards(p.forwards, all, all)
	t.add(t.base("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest), jump(all))
	back := t.base("back", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityRef(afterForwards))
	for _, of := range []int{4, 6} {
		var lost []netip.Prefix
		for _, l := range p.links {
			for _, a := range l.addresses {
				if family(a.Addr()) == of && !slices.Contains(p.loopback, a.Addr()) {
					lost = append(lost, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
				}
			}
		}
		if len(lost) > 0 {
			to, kind := destination(of)
			t.add(back, bits(expr.CtKeySTATUS, destinationChanged), isFamily(of), t.in(to, kind, ofPrefixes(lost)),
				[]expr.Any{&expr.Counter{}}, verdict(expr.VerdictDrop))
		}
	}
	if err := t.flush(); err != nil {
		return fmt.Errorf("write the services: %w", err)
	}
	return nil
}

// destinationChanged is conntrack's IPS_DST_NAT.
const destinationChanged = 1 << 5

func (t translator) chain(name string) *nftables.Chain {
	return t.c.AddChain(&nftables.Chain{Name: name, Table: t.Table})
}

func (t translator) base(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	return t.c.AddChain(&nftables.Chain{Name: name, Table: t.Table, Type: kind, Hooknum: hook, Priority: priority})
}

// forwards adds the forwards to the chain for all packets, or to the one for those that
// come from outside. It returns the sources that they give packets, by their marks:
// zero is that of the interface by which a packet leaves.
func (t translator) forwards(list []forward, all, outside *nftables.Chain) []netip.Addr {
	var sources []netip.Addr
	for i, f := range list {
		mark := []expr.Any{}
		if f.hidden {
			if !slices.Contains(sources, f.source) {
				sources = append(sources, f.source)
			}
			mark = []expr.Any{
				&expr.Immediate{Register: register, Data: markOf(slices.Index(sources, f.source))},
				&expr.Ct{Key: expr.CtKeyMARK, Register: register, SourceRegister: true},
			}
		}
		to, _ := destination(f.family)
		here := []expr.Any{to, is(f.to.AsSlice())}
		if !f.to.IsValid() {
			const local = unix.RTN_LOCAL
			here = []expr.Any{&expr.Fib{Register: register, FlagDADDR: true, ResultADDRTYPE: true}, is(binaryutil.NativeEndian.PutUint32(local))}
		}
		port := []expr.Any{protocol(), is([]byte{byte(f.protocol)}), transport(2, 2), is(portBytes(f.port))}
		from := all
		if f.remoteOnly {
			from = outside
		}
		backends := t.chain(fmt.Sprintf("forward_%d", i))
		t.add(from, isFamily(f.family), here, port, jump(backends))
		for n, b := range f.backends {
			t.add(backends, f.choose(n), mark, []expr.Any{
				&expr.Immediate{Register: register, Data: b.Addr().AsSlice()},
				&expr.Immediate{Register: otherRegister, Data: portBytes(b.Port())},
				&expr.NAT{Type: expr.NATTypeDestNAT, Family: netfilterFamily(f.family), RegAddrMin: register, RegProtoMin: otherRegister},
			})
		}
	}
	return sources
}

// otherRegister is for what needs a second one.
const otherRegister = 2

// choose matches packets that go to the nth backend, of those that went to none before it.
func (f forward) choose(n int) []expr.Any {
	count := uint32(len(f.backends))
	switch {
	case count == 1:
		return nil
	case f.sticky:
		client, _ := source(f.family)
		length := uint32(f.backends[n].Addr().BitLen() / 8)
		const seed = 1 // without one each rule gets its own
		return []expr.Any{
			client,
			&expr.Hash{SourceRegister: register, DestRegister: register, Length: length, Modulus: count, Seed: seed, Type: expr.HashTypeJenkins},
			is(binaryutil.NativeEndian.PutUint32(uint32(n))),
		}
	case n == len(f.backends)-1:
		return nil
	default:
		return []expr.Any{
			&expr.Numgen{Register: register, Modulus: count - uint32(n), Type: unix.NFT_NG_RANDOM},
			is(binaryutil.NativeEndian.PutUint32(0)),
		}
	}
}

func (t translator) masquerade(out *nftables.Chain, m masquerade) {
	of := family(m.from)
	from, _ := source(of)
	match := slices.Concat(isFamily(of), device(expr.MetaKeyIIFNAME, m.netSwitch), not(device(expr.MetaKeyOIFNAME, m.netSwitch)), []expr.Any{from, is(m.from.AsSlice())})
	if len(m.protocols) > 0 {
		match = append(match, t.in(protocol(), nftables.TypeInetProto, ofNumbers(m.protocols))...)
	}
	exceptions := slices.DeleteFunc(slices.Clone(m.exceptions), func(p netip.Prefix) bool { return family(p.Addr()) != of })
	if len(exceptions) > 0 {
		to, kind := destination(of)
		match = append(match, not(t.in(to, kind, ofPrefixes(exceptions)))...)
	}
	do := []expr.Any{&expr.Masq{}}
	if m.to.IsValid() {
		do = sourceTo(m.to, of)
	}
	t.add(out, match, do)
}

// not turns the last condition around.
func not(match []expr.Any) []expr.Any {
	switch last := match[len(match)-1].(type) {
	case *expr.Cmp:
		last.Op = expr.CmpOpNeq
	case *expr.Lookup:
		last.Invert = true
	}
	return match
}

func sourceTo(a netip.Addr, of int) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: register, Data: a.AsSlice()},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: netfilterFamily(of), RegAddrMin: register},
	}
}

func netfilterFamily(of int) uint32 {
	if of == 4 {
		return unix.NFPROTO_IPV4
	}
	return unix.NFPROTO_IPV6
}

// markOf is the mark of connections that get a source.
func markOf(source int) []byte {
	const first = 0x62000001 // nobody else's
	return binaryutil.NativeEndian.PutUint32(uint32(first + source))
}

func portBytes(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }
