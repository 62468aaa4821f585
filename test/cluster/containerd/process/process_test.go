// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
)

func TestFrames(t *testing.T) {
	a, b := net.Pipe()
	from, to := &Conn{ReadWriteCloser: a}, &Conn{ReadWriteCloser: b}
	long := bytes.Repeat([]byte("x"), most+1)
	go func() {
		_ = WriteJSON(from, Request{Start: &Start{Container: "c", Args: []string{"sh"}}})
		_, _ = from.Writer(Stdout).Write(long)
		_ = from.Send(CloseStdin, nil)
		_ = from.SendNumber(Exited, 7)
		from.Close()
	}()
	var q Request
	if err := ReadJSON(to, &q); err != nil || q.Start == nil || q.Start.Container != "c" || q.Stats != "" {
		t.Fatalf("%+v, %v", q, err)
	}
	var out []byte
	for {
		kind, data, err := to.Receive()
		switch {
		case errors.Is(err, io.EOF):
			t.Fatal("ended without an exit code")
		case err != nil:
			t.Fatal(err)
		case kind == Stdout:
			out = append(out, data...)
		case kind == Exited:
			if code, err := Number(data); err != nil || code != 7 || !bytes.Equal(out, long) {
				t.Errorf("code %d, %v, %d bytes", code, err, len(out))
			}
			return
		}
	}
}

func TestBadFrames(t *testing.T) {
	for _, text := range []string{"", "\x04\xff\xff\xff\xff", "\x04\x00\x00\x00\x05abc"} {
		c := &Conn{ReadWriteCloser: struct {
			io.ReadWriter
			io.Closer
		}{bytes.NewBufferString(text), nil}}
		if _, _, err := c.Receive(); err == nil {
			t.Errorf("%q was taken for a frame", text)
		}
	}
	if _, err := Number([]byte("abc")); err == nil {
		t.Error("three bytes are no number")
	}
	if err := ReadJSON(bytes.NewBufferString("\xff\xff\xff\xff"), &Request{}); err == nil {
		t.Error("a request without end was read")
	}
}
