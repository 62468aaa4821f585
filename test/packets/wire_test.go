// SPDX-License-Identifier: Apache-2.0

//go:build linux

package packets

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
)

var sent atomic.Uint64

// transport returns what follows the IP header of a packet: a valid beginning of the
// protocol, and a number of its own.
func transport(protocol int, source, destination netip.Addr, sourcePort, destinationPort uint16) []byte {
	const icmpEcho, icmpv6Echo, igmpReport = 8, 128, 0x16
	var b []byte
	at := -1 // of the checksum
	pseudo := false
	switch protocol {
	case 1:
		b, at = []byte{icmpEcho, 0, 0, 0, 0, 1, 0, 1}, 2
	case 58:
		b, at, pseudo = []byte{icmpv6Echo, 0, 0, 0, 0, 1, 0, 1}, 2, true
	case 2:
		b, at = []byte{igmpReport, 0, 0, 0, 224, 0, 0, 9}, 2
	case 6:
		b = binary.BigEndian.AppendUint16(nil, sourcePort)
		b = binary.BigEndian.AppendUint16(b, destinationPort)
		b = append(b, 0, 0, 0, 1, 0, 0, 0, 0, 5<<4, 2, 255, 255, 0, 0, 0, 0) // SYN
		at, pseudo = 16, true
	case 17:
		b = binary.BigEndian.AppendUint16(nil, sourcePort)
		b = binary.BigEndian.AppendUint16(b, destinationPort)
		b = append(b, 0, 16, 0, 0)
		at, pseudo = 6, true
	case 132:
		b = binary.BigEndian.AppendUint16(nil, sourcePort)
		b = binary.BigEndian.AppendUint16(b, destinationPort)
		b = append(b, make([]byte, 8)...)
	default:
		b = make([]byte, 8)
	}
	b = binary.BigEndian.AppendUint64(b, sent.Add(1))
	if at >= 0 {
		var head []byte
		if pseudo {
			head = append(source.AsSlice(), destination.AsSlice()...)
			head = append(head, 0, byte(protocol))
			head = binary.BigEndian.AppendUint16(head, uint16(len(b)))
		}
		binary.BigEndian.PutUint16(b[at:], checksum(append(head, b...)))
	}
	return b
}

// checksum is the Internet's (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// packet returns a whole IP packet. The kernel completes IPv4's header.
func packet(protocol int, source, destination netip.Addr, payload []byte) []byte {
	const hops = 64
	var b []byte
	if source.Is4() {
		b = []byte{4<<4 | 5, 0, 0, 0, 0, 0, 0, 0, hops, byte(protocol), 0, 0}
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	} else {
		b = []byte{6 << 4, 0, 0, 0, 0, 0, byte(protocol), hops}
		binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	}
	b = append(b, source.AsSlice()...)
	b = append(b, destination.AsSlice()...)
	return append(b, payload...)
}
