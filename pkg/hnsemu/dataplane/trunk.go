// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	bpflink "github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// trunk connects a VLAN's switch with the node's adapter. It is a veth pair: one end is a
// port of the switch, and BPF programs move frames between the other end and the adapter,
// where they have the VLAN's tag.
type trunk struct {
	netSwitch string
	tag       uint32
	// adapter is the index of the node's adapter.
	adapter int
}

// liveTrunk is a trunk that is there. The kernel detaches its programs when they are closed,
// which the end of the process does, too.
type liveTrunk struct {
	trunk
	programs []io.Closer
}

// tagOf returns the tag of a network's VLAN on the outer network, 0 for none. Other drivers'
// networks are not on it.
func tagOf(n hnsemu.NetworkState, vlan uint32) uint32 {
	if n.Driver == hns.Transparent || n.Driver == hns.L2Bridge {
		return vlan
	}
	return 0
}

// trunkName and portName name the ends of the trunk of a VLAN's switch.
func trunkName(netSwitch string) string { return "t" + netSwitch[1:] }
func portName(netSwitch string) string  { return "p" + netSwitch[1:] }

// applyTrunks makes the trunks what the switches need.
func (p *Plane) applyTrunks(switches map[string]netSwitch) error {
	const loopback = 1 // its index in every network namespace; it is no adapter
	want := map[string]trunk{}
	var failed []error
	for name, s := range switches {
		if s.tag == 0 {
			continue
		}
		adapter, err := p.wire.adapter(s.source)
		if err != nil {
			return err
		}
		if adapter > loopback {
			want[name] = trunk{name, s.tag, adapter}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.trunks)) {
		if p.trunks[name].trunk != want[name] {
			failed = append(failed, p.removeTrunk(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if p.trunks[name] != nil {
			continue
		}
		p.trunks[name] = &liveTrunk{trunk: want[name]}
		if err := p.addTrunk(p.trunks[name]); err != nil {
			// Half of a trunk is none: the next call makes it anew.
			failed = append(failed, fmt.Errorf("trunk of VLAN %d: %w", want[name].tag, err), p.removeTrunk(name))
		}
	}
	return errors.Join(failed...)
}

// addTrunk makes a trunk.
func (p *Plane) addTrunk(t *liveTrunk) error {
	bridge, err := p.wire.switchNamed(t.netSwitch)
	if err != nil {
		return err
	}
	var ends []netlink.Link
	name, port := trunkName(t.netSwitch), portName(t.netSwitch)
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: port, MasterIndex: bridge.Attrs().Index}, PeerName: name}
	if err := p.wire.h.LinkAdd(pair); err != nil {
		return fmt.Errorf("link %s and %s: %w", port, name, err)
	}
	for _, name := range []string{port, name} {
		end, err := p.wire.h.LinkByName(name)
		if err != nil {
			return err
		}
		if err := p.wire.mark(end); err != nil {
			return err
		}
		ends = append(ends, end)
	}
	loose := ends[1].Attrs().Index
	err = netspace.Do(p.node, func() error {
		// Without IPv6 the ends send nothing of their own.
		err := set(map[string]string{"net/ipv6/conf/" + name + "/disable_ipv6": "1", "net/ipv6/conf/" + port + "/disable_ipv6": "1"})
		if err == nil {
			err = t.attach(loose, t.tagging())
		}
		if err == nil {
			err = t.attach(t.adapter, t.untagging(loose))
		}
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(p.wire.h.LinkSetUp(ends[1]), p.wire.h.LinkSetUp(ends[0]))
}

// removeTrunk removes a trunk as far as it is there.
func (p *Plane) removeTrunk(netSwitch string) error {
	var failed []error
	for _, program := range p.trunks[netSwitch].programs {
		failed = append(failed, program.Close())
	}
	delete(p.trunks, netSwitch)
	return errors.Join(append(failed, p.wire.remove(portName(netSwitch)))...)
}

// attach runs a program on each frame that arrives at a link, in the node's namespace.
func (t *liveTrunk) attach(index int, of asm.Instructions) error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: t.netSwitch, Type: ebpf.SchedCLS, License: "Apache-2.0", Instructions: of})
	if err != nil {
		return fmt.Errorf("load a BPF program, which tags need: %w", err)
	}
	defer program.Close() // its link keeps it
	attached, err := bpflink.AttachTCX(bpflink.TCXOptions{Interface: index, Program: program, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return fmt.Errorf("attach a BPF program to a device, which tags need and Linux has since 6.6: %w", err)
	}
	t.programs = append(t.programs, attached)
	return nil
}

// What a program at a device returns (linux/bpf.h, enum tcx_action_base).
const (
	next = -1
	drop = 2
)

// tpid is that of 802.1Q, in the order of the network.
var tpid = int32(binary.NativeEndian.Uint16([]byte{unix.ETH_P_8021Q >> 8, unix.ETH_P_8021Q & 0xff}))

// tagging sends frames out of the adapter with the tag. The switch's own do not leave: the
// nodes of a VLAN all have the gateway's address, each for its own pods, and one must not
// answer for it to the pods of another, nor ask in its name.
func (t trunk) tagging() asm.Instructions {
	const source = 6 // in an Ethernet header
	mac := switchMAC(t.netSwitch)
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadAbs(source, asm.Word),
		asm.JNE.Imm(asm.R0, int32(binary.BigEndian.Uint32(mac)), "tag"),
		asm.LoadAbs(source+4, asm.Half),
		asm.JNE.Imm(asm.R0, int32(binary.BigEndian.Uint16(mac[4:])), "tag"),
		asm.Mov.Imm(asm.R0, drop),
		asm.Return(),

		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("tag"),
		asm.Mov.Imm(asm.R2, tpid),
		asm.Mov.Imm(asm.R3, int32(t.tag)),
		asm.FnSkbVlanPush.Call(),
		asm.Mov.Imm(asm.R1, int32(t.adapter)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}
}

// untagging sends a copy of frames with the tag into the switch without it. The frames
// themselves go on, since another network's switch may be in the same VLAN; the node's stack
// drops what has a tag.
func (t trunk) untagging(loose int) asm.Instructions {
	const vlanPresent, vlanTCI, id = 20, 24, 0xfff // linux/bpf.h, struct __sk_buff
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, vlanPresent, asm.Word),
		asm.JEq.Imm(asm.R2, 0, "next"),
		asm.LoadMem(asm.R7, asm.R6, vlanTCI, asm.Word),
		asm.Mov.Reg(asm.R2, asm.R7),
		asm.And.Imm(asm.R2, id),
		asm.JNE.Imm(asm.R2, int32(t.tag), "next"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnSkbVlanPop.Call(),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, int32(loose)),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnCloneRedirect.Call(),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, tpid),
		asm.Mov.Reg(asm.R3, asm.R7),
		asm.FnSkbVlanPush.Call(),

		asm.Mov.Imm(asm.R0, next).WithSymbol("next"),
		asm.Return(),
	}
}
