// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

const (
	magic     = "hnsemu/1"
	maxFrame  = 64 << 20
	maxFields = 64
	replyHead = 4 + 8
)

// errFrame is a frame that does not follow the format.
var errFrame = errors.New("malformed frame")

var order = binary.LittleEndian

// newFrame returns a frame with room for its length, which writeFrame fills in.
func newFrame() []byte { return make([]byte, 4, 512) }

func appendField(b []byte, s string) []byte {
	b = order.AppendUint32(b, uint32(min(len(s), math.MaxUint32)))
	return append(b, s...)
}

// writeFrame sends a frame begun with newFrame in one piece: two would cost a
// delayed acknowledgement.
func writeFrame(w io.Writer, frame []byte) error {
	n := len(frame) - 4
	if n > maxFrame {
		return fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	order.PutUint32(frame, uint32(n))
	_, err := w.Write(frame)
	return err
}

// readFrame returns the bytes after the length. It takes memory as bytes come,
// not as the length promises.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := order.Uint32(head[:])
	if n > maxFrame {
		return nil, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	payload, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(payload) != int(n) {
		err = io.ErrUnexpectedEOF
	}
	return payload, err
}

// parseFields splits a payload into its fields, which take up all of it.
func parseFields(payload []byte) ([]string, error) {
	var fields []string
	for len(payload) > 0 {
		if len(payload) < 4 || len(fields) == maxFields {
			return nil, errFrame
		}
		n := order.Uint32(payload)
		payload = payload[4:]
		if uint64(n) > uint64(len(payload)) || !utf8.Valid(payload[:n]) {
			return nil, errFrame
		}
		fields = append(fields, string(payload[:n]))
		payload = payload[n:]
	}
	return fields, nil
}

func helloFrame(client string) []byte {
	return appendField(appendField(newFrame(), magic), client)
}

func parseHello(payload []byte) (client string, err error) {
	fields, err := parseFields(payload)
	if err != nil {
		return "", err
	}
	if len(fields) != 2 || fields[0] != magic || fields[1] == "" {
		return "", fmt.Errorf("%w: not a hello", errFrame)
	}
	return fields[1], nil
}

func requestFrame(proc string, args []string) []byte {
	b := appendField(newFrame(), proc)
	for _, arg := range args {
		b = appendField(b, arg)
	}
	return b
}

func parseRequest(payload []byte) (proc string, args []string, err error) {
	fields, err := parseFields(payload)
	if err != nil {
		return "", nil, err
	}
	if len(fields) == 0 || fields[0] == "" {
		return "", nil, fmt.Errorf("%w: no proc", errFrame)
	}
	return fields[0], fields[1:], nil
}

func replyFrame(r hnsemu.Reply) []byte {
	b := order.AppendUint32(newFrame(), uint32(r.Code))
	b = order.AppendUint64(b, r.Handle)
	return appendField(appendField(b, r.Out), r.Record)
}

func parseReply(payload []byte) (hnsemu.Reply, error) {
	if len(payload) < replyHead {
		return hnsemu.Reply{}, errFrame
	}
	fields, err := parseFields(payload[replyHead:])
	if err != nil {
		return hnsemu.Reply{}, err
	}
	if len(fields) != 2 {
		return hnsemu.Reply{}, fmt.Errorf("%w: %d texts in a reply", errFrame, len(fields))
	}
	return hnsemu.Reply{
		Code:   hns.HRESULT(order.Uint32(payload)),
		Handle: order.Uint64(payload[4:]),
		Out:    fields[0],
		Record: fields[1],
	}, nil
}
