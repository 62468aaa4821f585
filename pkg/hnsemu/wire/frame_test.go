// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

// sent returns a frame as it goes over the wire.
func sent(t testing.TB, frame []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeFrame(&b, frame); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFormat pins the bytes that the C side speaks.
func TestFormat(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"hello", helloFrame("9@1"), "\x13\x00\x00\x00" + "\x08\x00\x00\x00hnsemu/1" + "\x03\x00\x00\x009@1"},
		{"request", requestFrame("P", []string{"", "é"}), "\x0f\x00\x00\x00" + "\x01\x00\x00\x00P" + "\x00\x00\x00\x00" + "\x02\x00\x00\x00\xc3\xa9"},
		{"reply", replyFrame(hnsemu.Reply{Code: 0x803b0002, Handle: 5, Out: "o", Record: ""}),
			"\x15\x00\x00\x00" + "\x02\x00\x3b\x80" + "\x05\x00\x00\x00\x00\x00\x00\x00" + "\x01\x00\x00\x00o" + "\x00\x00\x00\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(sent(t, tt.frame))); diff != "" {
				t.Errorf("bytes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadFrameRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		want error
	}{
		{"nothing", "", io.EOF},
		{"half a length", "\x01\x00", io.ErrUnexpectedEOF},
		{"no payload", "\x01\x00\x00\x00", io.ErrUnexpectedEOF},
		{"half a payload", "\x04\x00\x00\x00ab", io.ErrUnexpectedEOF},
		{"a gigabyte", "\x00\x00\x00\x40", errFrame},
		{"all ones", "\xff\xff\xff\xff", errFrame},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := readFrame(strings.NewReader(tt.in)); !errors.Is(err, tt.want) {
				t.Errorf("readFrame: got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestWriteFrameRefusesTooLong(t *testing.T) {
	if err := writeFrame(io.Discard, make([]byte, 4+maxFrame+1)); !errors.Is(err, errFrame) {
		t.Errorf("writeFrame: got %v, want %v", err, errFrame)
	}
}

// TestReadFrameTakesNoMemoryOnTrust: a peer that promises much and sends
// nothing must not cost what it promised.
func TestReadFrameTakesNoMemoryOnTrust(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := readFrame(strings.NewReader("\x00\x00\x00\x04")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("readFrame: got %v, want %v", err, io.ErrUnexpectedEOF)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("readFrame took %d bytes for a frame that never came", got)
	}
}

func TestParseRefuses(t *testing.T) {
	field := func(s string) string { return string(appendField(nil, s)) }
	hello := func(b []byte) error { _, err := parseHello(b); return err }
	request := func(b []byte) error { _, _, err := parseRequest(b); return err }
	reply := func(b []byte) error { _, err := parseReply(b); return err }
	for _, tt := range []struct {
		name  string
		parse func([]byte) error
		in    string
	}{
		{"hello: empty", hello, ""},
		{"hello: no name", hello, field(magic)},
		{"hello: empty name", hello, field(magic) + field("")},
		{"hello: next version", hello, field("hnsemu/2") + field("9")},
		{"hello: more", hello, field(magic) + field("9") + field("")},
		{"request: empty", request, ""},
		{"request: empty proc", request, field("")},
		{"request: rest", request, field("P") + "\x00"},
		{"request: field past the end", request, "\x02\x00\x00\x00P"},
		{"request: field of 4 GiB", request, "\xff\xff\xff\xffP"},
		{"request: not UTF-8", request, field("P") + field("\xff")},
		{"request: too many fields", request, strings.Repeat(field("P"), maxFields+1)},
		{"reply: short", reply, strings.Repeat("\x00", replyHead-1)},
		{"reply: no texts", reply, strings.Repeat("\x00", replyHead)},
		{"reply: one text", reply, strings.Repeat("\x00", replyHead) + field("")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.parse([]byte(tt.in)); !errors.Is(err, errFrame) {
				t.Errorf("got %v, want %v", err, errFrame)
			}
		})
	}
}

// FuzzParse: the format has one way to write a frame, so whatever is understood
// is written back as the same bytes.
func FuzzParse(f *testing.F) {
	for _, frame := range [][]byte{
		helloFrame("9@1"),
		requestFrame("HcnOpenNetwork", []string{"00000000-0000-0000-0000-000000000000"}),
		requestFrame("HNSCall", []string{"GET", "/networks", ""}),
		replyFrame(hnsemu.Reply{Code: 1, Handle: 2, Out: "[]", Record: "{}"}),
	} {
		f.Add(frame[4:])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var got [][]byte
		if client, err := parseHello(payload); err == nil {
			got = append(got, helloFrame(client))
		}
		if proc, args, err := parseRequest(payload); err == nil {
			got = append(got, requestFrame(proc, args))
		}
		if r, err := parseReply(payload); err == nil {
			got = append(got, replyFrame(r))
		}
		for _, frame := range got {
			if !bytes.Equal(frame[4:], payload) {
				t.Errorf("%q is read as %q", payload, frame[4:])
			}
		}
	})
}
