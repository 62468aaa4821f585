// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/wire"
)

// daemon serves a node until the test ends, by closing its stdin, and returns
// its address.
func daemon(t *testing.T, args ...string) string {
	t.Helper()
	stdin, closeStdin := io.Pipe()
	out, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(t.Context(), append(args, "--exit-with-stdin"), stdin, stdout)
		stdout.Close()
		done <- err
	}()
	t.Cleanup(func() {
		closeStdin.Close()
		if err := <-done; err != nil {
			t.Errorf("hnsemud: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("the first line is %q", line)
	}
	return addr
}

func TestVerbs(t *testing.T) {
	addr := daemon(t, "--profile", "2022")
	c, err := wire.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	version := hnsemu.Call{Client: "9@1", Proc: "HNSCall", Args: []string{"GET", "/globals/version", ""}}
	for _, tt := range []struct {
		args []string
		want string // of a call of /globals/version afterwards, and its cause
	}{
		{[]string{"counts"}, `"Major":13`},
		{[]string{"stop"}, "0x80070426"},
		{[]string{"start"}, `"Major":13`},
		{[]string{"fault", `{"Proc":"HNSCall","Nth":1,"Kind":"fail","Code":2147549183,"Every":true}`}, "0x8000ffff"},
		{[]string{"restart"}, "0x8000ffff"},
		{[]string{"clear"}, `"Major":13`},
		{[]string{"reboot"}, `"Major":13`},
	} {
		t.Run(tt.args[0], func(t *testing.T) {
			args := append([]string{tt.args[0], "--addr", addr}, tt.args[1:]...)
			if err := run(t.Context(), args, nil, io.Discard); err != nil {
				t.Fatal(err)
			}
			reply, err := c.Call(t.Context(), version)
			if got := reply.Out + reply.Code.String(); err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("then a call answers %s, %v, want %s", got, err, tt.want)
			}
		})
	}
	for verb, want := range map[string]string{
		"counts": "HNSCall 7\n",
		"log":    "2 9@1 HNSCall(GET, /globals/version, ) 0x80070426",
		"dump":   "",
	} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{verb, "--addr", addr}, nil, &out); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s prints %q, %v, want %q", verb, &out, err, want)
		}
	}
}

func TestEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, nil, nil, io.Discard); err != nil {
		t.Errorf("hnsemud: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	t.Setenv("HNSEMU_ADDR", "")
	for _, tt := range []struct {
		args    []string
		wantErr string
	}{
		{[]string{"--profile", "2016"}, `profile "2016"`},
		{[]string{"--listen", "0.0.0.0:0"}, "not a loopback address"},
		{[]string{"--serialise", "dump"}, `unexpected argument "dump"`},
		{[]string{"format"}, `no verb "format"`},
		{[]string{"dump"}, "HNSEMU_ADDR"},
		{[]string{"dump", "--addr", "127.0.0.1:1"}, "connect"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			err := run(t.Context(), tt.args, nil, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("hnsemud: got %v, want an error with %q", err, tt.wantErr)
			}
		})
	}
}
