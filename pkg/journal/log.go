// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

// Entry is what the log tells of a verb.
type Entry struct {
	Verb, Network, ContainerID, IfName, PodNamespace, Pod string
	// Traceparent, Tracestate and Baggage come from the runtime.
	Traceparent, Tracestate, Baggage string
	Start                            time.Time
	Took                             time.Duration
	// Code is the CNI error code, 0 for success.
	Code           uint
	Error, Details string
	Calls          *Calls
}

// Log is a file of lines of JSON.
type Log struct {
	// File is DefaultLog when it is empty.
	File string
	Lock nodelock.Lock
}

// DefaultLog returns the file of a Log that names none.
func DefaultLog() string {
	return filepath.Join(cmp.Or(os.Getenv("ProgramData"), `C:\ProgramData`), "bulkhead", "logs", "bulkhead.log")
}

// MaxLog is the size from which the log becomes <file>.1, in the place of an older one.
// While that fails, because somebody has it open, it grows to twice that and no further.
const MaxLog = 8 << 20

// Write appends the lines of a verb.
func (l Log) Write(e Entry) error {
	path := cmp.Or(l.File, DefaultLog())
	size, err := add(path, e.lines(), 2*MaxLog)
	if size > MaxLog {
		l.putAside(path)
	}
	return err
}

// putAside renames the log. It tries once: whoever has the lock does it just now, and after
// a failure the next verb tries again.
func (l Log) putAside(path string) {
	release, err := try(l.Lock, "log "+path)
	if err != nil {
		return
	}
	defer release()
	if info, err := os.Stat(path); err == nil && info.Size() > MaxLog {
		_ = os.Rename(path, path+".1") // nobody's failure
	}
}

// try acquires a lock that nobody holds.
func try(lock nodelock.Lock, name string) (release func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	return lock(ctx, name)
}

// lines returns a line for each native call and then that of the verb.
func (e Entry) lines() []byte {
	var out bytes.Buffer
	h := slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}).WithAttrs(texts(
		"verb", e.Verb, "network", e.Network, "containerID", e.ContainerID, "ifname", e.IfName, "podNamespace", e.PodNamespace, "pod", e.Pod,
	))
	line := func(level slog.Level, what string, start time.Time, attrs ...slog.Attr) {
		r := slog.NewRecord(start.UTC(), level, what, 0)
		r.AddAttrs(attrs...)
		_ = h.Handle(context.Background(), r) // a bytes.Buffer takes everything
	}
	calls, omitted := e.Calls.all()
	for _, c := range calls {
		attrs := append(texts("call", c.verb, "about", c.about), slog.Float64("seconds", c.took.Seconds()))
		if c.err != nil {
			attrs = append(attrs, texts("error", c.err.Error())...)
		}
		line(slog.LevelDebug, "native call", c.start, attrs...)
	}
	level, attrs := slog.LevelInfo, []slog.Attr{slog.Float64("seconds", e.Took.Seconds()), slog.Uint64("code", uint64(e.Code))}
	if e.Code != 0 {
		level = slog.LevelError
	}
	attrs = append(attrs, texts("error", e.Error, "details", e.Details, "traceparent", e.Traceparent, "tracestate", e.Tracestate, "baggage", e.Baggage)...)
	if omitted > 0 {
		attrs = append(attrs, slog.Int("omittedCalls", omitted))
	}
	line(level, "verb", e.Start, attrs...)
	return visible(out.Bytes())
}

// texts returns attributes for pairs of a key and a value, without those that are empty.
func texts(pairs ...string) []slog.Attr {
	var out []slog.Attr
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, slog.String(pairs[i], shortened(pairs[i+1])))
		}
	}
	return out
}

// longest is the most bytes of a value: as many as baggage may have (W3C, "Propagation
// format for distributed context: Baggage", limits).
const longest = 8 << 10

func shortened(s string) string {
	if len(s) <= longest {
		return s
	}
	end := longest
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// visible returns JSON with escapes in the place of what is in its strings and would act
// on a terminal instead of being seen. slog escapes the control characters of ASCII, but
// not DEL, those of Latin-1, nor what turns the direction of a text around.
func visible(text []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(text) {
		switch {
		case r < unicode.MaxASCII || unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}
