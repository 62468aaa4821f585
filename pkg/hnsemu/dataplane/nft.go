// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Names of the tables: a pod's rules, what it does with services, and the node's.
const (
	rulesTable    = "hns"
	servicesTable = "services"
	nodeTable     = alias
)

// table is an nftables table of the family inet in a network namespace.
type table struct {
	c *nftables.Conn
	*nftables.Table
	// lists counts the sets that have a name.
	lists int
	// failed has what went wrong while rules were collected.
	failed []error
}

// buffer is the size of a socket's for transactions of many thousand addresses.
const buffer = 16 << 20

func openTable(name string, netns int) (*table, error) {
	c, err := nftables.New(nftables.WithNetNSFd(netns), nftables.AsLasting(),
		nftables.WithSockOptions(func(c *mdl.Conn) error { return errors.Join(c.SetWriteBuffer(buffer), c.SetReadBuffer(buffer)) }))
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	return &table{c: c, Table: &nftables.Table{Name: name, Family: nftables.TableFamilyINet}}, nil
}

// beside returns another table of the same namespace.
func (t *table) beside(name string) *table {
	return &table{c: t.c, Table: &nftables.Table{Name: name, Family: nftables.TableFamilyINet}}
}

// close gives up the hold on the namespace that the table and those beside it have.
func (t *table) close() { _ = t.c.CloseLasting() }

// remove removes the table, if it is there.
func (t *table) remove() error {
	t.c.AddTable(t.Table)
	t.c.DelTable(t.Table)
	if err := t.flush(); err != nil {
		return fmt.Errorf("remove table %s: %w", t.Name, err)
	}
	return nil
}

// empty begins a transaction: all that was in the table goes, also when there was none.
func (t *table) empty() {
	t.lists = 0
	t.c.AddTable(t.Table)
	t.c.DelTable(t.Table)
	t.c.AddTable(t.Table)
}

// flush ends a transaction.
func (t *table) flush() error {
	err := errors.Join(append(t.failed, t.c.Flush())...)
	t.failed = nil
	return err
}

func (t *table) add(chain *nftables.Chain, parts ...[]expr.Any) {
	t.c.AddRule(&nftables.Rule{Table: t.Table, Chain: chain, Exprs: slices.Concat(parts...)})
}

// in returns the expressions for a value that is in one of the spans.
func (t *table) in(value expr.Any, kind nftables.SetDatatype, spans []span) []expr.Any {
	set := &nftables.Set{Table: t.Table, Anonymous: true, Constant: true, Interval: true, KeyType: kind}
	var elements []nftables.SetElement
	for _, s := range disjoint(spans) {
		elements = append(elements, nftables.SetElement{Key: s.first})
		if after := s.after(); after != nil {
			elements = append(elements, nftables.SetElement{Key: after, IntervalEnd: true})
		}
	}
	// A message holds 64 KiB, and only a set with a name may be written by several.
	const most = 500
	first := min(most, len(elements))
	if first < len(elements) {
		t.lists++
		set.Name, set.Anonymous, set.Constant = fmt.Sprintf("list_%d", t.lists), false, false
	}
	failed := []error{t.c.AddSet(set, elements[:first])}
	for part := range slices.Chunk(elements[first:], most) {
		failed = append(failed, t.c.SetAddElements(set, part))
	}
	if err := errors.Join(failed...); err != nil {
		t.failed = append(t.failed, err)
	}
	return []expr.Any{value, &expr.Lookup{SourceRegister: register, SetName: set.Name, SetID: set.ID}}
}

// isFamily matches packets of IPv4 or IPv6.
func isFamily(of int) []expr.Any {
	number := byte(unix.NFPROTO_IPV4)
	if of == 6 {
		number = unix.NFPROTO_IPV6
	}
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, is([]byte{number})}
}

// register is the one that all values go through.
const register = 1

func protocol() expr.Any { return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register} }

func header(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

// source and destination are the addresses of a packet of a family.
func source(of int) (expr.Any, nftables.SetDatatype) { return address(of, 12, 8) }

func destination(of int) (expr.Any, nftables.SetDatatype) { return address(of, 16, 24) }

func address(of int, in4, in6 uint32) (expr.Any, nftables.SetDatatype) {
	if of == 4 {
		return header(in4, 4), nftables.TypeIPAddr
	}
	return header(in6, 16), nftables.TypeIP6Addr
}

// is matches a value that was loaded.
func is(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data} }

func transport(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

func device(key expr.MetaKey, name string) []expr.Any {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return []expr.Any{&expr.Meta{Key: key, Register: register}, is(padded)}
}

func jump(chain *nftables.Chain) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain.Name}}
}

// bits matches when one of the bits of a word of conntrack is set.
func bits(key expr.CtKey, mask uint32) []expr.Any {
	const word = 4
	return []expr.Any{
		&expr.Ct{Key: key, Register: register},
		&expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: word, Mask: binaryutil.NativeEndian.PutUint32(mask), Xor: make([]byte, word),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, word)},
	}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

// comment is the text that nft shows with a rule: a kind of data, its length, and the text
// with a zero byte (libnftnl's udata).
func comment(text string) []byte {
	const kind, most = 0, 128
	if text == "" {
		return nil
	}
	text = text[:min(len(text), most-1)]
	return append([]byte{kind, byte(len(text) + 1)}, append([]byte(text), 0)...)
}

// commented is the text of a comment.
func commented(data []byte) string {
	const head = 2
	if len(data) <= head {
		return ""
	}
	return string(bytes.TrimRight(data[head:], "\x00"))
}

// counters returns how many packets were dropped, by the counters' names. Without a table
// there are none.
func (t *table) counters() (map[string]uint64, error) {
	objects, err := t.c.GetObjects(t.Table)
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
