// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// tableName is the table of a pod's rules.
const tableName = "hns"

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

// firewall writes rules into a network namespace.
type firewall struct {
	c     *nftables.Conn
	table *nftables.Table
	// failed has what went wrong while rules were collected.
	failed []error
}

// writeBuffer is for transactions of many thousand addresses.
const writeBuffer = 16 << 20

func openFirewall(netns int) (*firewall, error) {
	c, err := nftables.New(nftables.WithNetNSFd(netns), nftables.AsLasting(),
		nftables.WithSockOptions(func(c *mdl.Conn) error { return c.SetWriteBuffer(writeBuffer) }))
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	return &firewall{c: c, table: &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}}, nil
}

func (f *firewall) close() { _ = f.c.CloseLasting() }

// write replaces all rules by those of the links, in one step. Counters go on.
func (f *firewall) write(links pod) error {
	counted, err := f.counters()
	if err != nil {
		return err
	}
	f.c.AddTable(f.table)
	f.c.DelTable(f.table)
	f.c.AddTable(f.table)
	for _, h := range hooks {
		base := f.c.AddChain(&nftables.Chain{
			Name: h.chain, Table: f.table, Type: nftables.ChainTypeFilter, Hooknum: h.hook, Priority: nftables.ChainPriorityRef(h.priority),
		})
		f.add(base, device(h.device, "lo"), verdict(expr.VerdictAccept))
		f.add(base, known(), verdict(expr.VerdictAccept))
		f.add(base, f.family(6), f.in(protocol(), nftables.TypeInetProto, ofNumbers([]int{unix.IPPROTO_ICMPV6})),
			f.in(transport(0, 1), nftables.TypeICMP6Type, []span{{[]byte{firstDiscovery}, []byte{lastDiscovery}}, {[]byte{reportV2}, []byte{reportV2}}}),
			verdict(expr.VerdictAccept))
		for _, name := range slices.Sorted(maps.Keys(links)) {
			for _, x := range links[name].filters {
				if x.at == h.at && x.direction == h.direction {
					f.filter(base, device(h.device, name), name, x, counted)
				}
			}
		}
	}
	if err := errors.Join(append(f.failed, f.c.Flush())...); err != nil {
		f.failed = nil
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
func (f *firewall) filter(base *nftables.Chain, ofLink []expr.Any, name string, x filter, counted map[string]uint64) {
	chain := f.c.AddChain(&nftables.Chain{Name: base.Name + "_" + name, Table: f.table})
	f.add(base, ofLink, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain.Name}})
	drop := counterName(name, x.at, x.direction)
	f.c.AddObj(&nftables.CounterObj{Table: f.table, Name: drop, Packets: counted[drop]})
	for i, rules := range x.tiers {
		tier := f.c.AddChain(&nftables.Chain{Name: fmt.Sprintf("%s_%d", chain.Name, i), Table: f.table})
		f.add(chain, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: tier.Name}})
		for _, r := range rules {
			f.rule(tier, r, drop)
		}
	}
	for _, r := range x.rules {
		f.rule(chain, r, drop)
	}
	f.add(chain, dropped(drop))
}

func (f *firewall) rule(chain *nftables.Chain, r rule, drop string) {
	var match []expr.Any
	if r.family != 0 {
		match = append(match, f.family(r.family)...)
	}
	source, destination, length, kind := uint32(12), uint32(16), uint32(4), nftables.TypeIPAddr
	if r.family == 6 {
		source, destination, length, kind = 8, 24, 16, nftables.TypeIP6Addr
	}
	for _, in := range r.source {
		match = append(match, f.in(header(source, length), kind, ofPrefixes(in))...)
	}
	for _, in := range r.destination {
		match = append(match, f.in(header(destination, length), kind, ofPrefixes(in))...)
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
	f.c.AddRule(&nftables.Rule{Table: f.table, Chain: chain, Exprs: slices.Concat(match, []expr.Any{&expr.Counter{}}, do), UserData: comment(r.id)})
}

func (f *firewall) add(chain *nftables.Chain, parts ...[]expr.Any) {
	f.c.AddRule(&nftables.Rule{Table: f.table, Chain: chain, Exprs: slices.Concat(parts...)})
}

// in returns the expressions for a value that is in one of the spans.
func (f *firewall) in(value expr.Any, kind nftables.SetDatatype, spans []span) []expr.Any {
	set := &nftables.Set{Table: f.table, Anonymous: true, Constant: true, Interval: true, KeyType: kind}
	var elements []nftables.SetElement
	for _, s := range disjoint(spans) {
		elements = append(elements, nftables.SetElement{Key: s.first})
		if after := s.after(); after != nil {
			elements = append(elements, nftables.SetElement{Key: after, IntervalEnd: true})
		}
	}
	if err := f.c.AddSet(set, elements); err != nil {
		f.failed = append(f.failed, err)
	}
	return []expr.Any{value, &expr.Lookup{SourceRegister: register, SetName: set.Name, SetID: set.ID}}
}

// family matches packets of IPv4 or IPv6.
func (f *firewall) family(of int) []expr.Any {
	number := byte(unix.NFPROTO_IPV4)
	if of == 6 {
		number = unix.NFPROTO_IPV6
	}
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{number}}}
}

// register is the one that all values go through.
const register = 1

func protocol() expr.Any { return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register} }

func header(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func transport(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

func device(key expr.MetaKey, name string) []expr.Any {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return []expr.Any{&expr.Meta{Key: key, Register: register}, &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: padded}}
}

// known matches packets of connections that were let through before.
func known() []expr.Any {
	const word = 4
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: register},
		&expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: word,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED), Xor: make([]byte, word),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, word)},
	}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

func dropped(counter string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: counter}, &expr.Verdict{Kind: expr.VerdictDrop}}
}

// comment is the text that nft shows with a rule (libnftnl's udata).
func comment(text string) []byte {
	const kind, most = 0, 128
	if text == "" {
		return nil
	}
	text = text[:min(len(text), most-1)]
	return append([]byte{kind, byte(len(text) + 1)}, append([]byte(text), 0)...)
}

func counterName(link string, at hns.RuleType, d hns.Direction) string {
	return fmt.Sprintf("%s_%s_%s", link, at, d)
}

// counters returns how many packets were dropped, by the counters' names. Without a table
// there are none.
func (f *firewall) counters() (map[string]uint64, error) {
	objects, err := f.c.GetObjects(f.table)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("read the counters: %w", err)
	}
	out := map[string]uint64{}
	for _, o := range objects {
		if c, ok := o.(*nftables.CounterObj); ok {
			out[c.Name] = c.Packets
		}
	}
	return out, nil
}
