// SPDX-License-Identifier: Apache-2.0

// Package process is how the runtime shim, a Windows program under Wine or one of a Linux
// node, has the node's runner start Linux processes in the place of a container's. A
// connection is a request, and for a process the frames after it, until the process ends or
// the connection does, which kills it.
package process

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// AddrVar is the variable that tells the shim where the runner listens.
const AddrVar = "BULKHEAD_RUNNER"

// Request is what a connection is for. Exactly one member is set.
type Request struct {
	Start *Start
	// Stats asks for the Stats of the container of that id. They are the answer, as JSON.
	Stats string
}

// Start is a process to start.
type Start struct {
	// Sandbox is the id of the pod's sandbox, Container that of the container; of the
	// sandbox itself they are the same. Exec is the id of a further process in it.
	Sandbox, Container, Exec string
	// Namespace is the GUID of the pod's HCN namespace, on Linux the file of its network
	// namespace. It is empty for the node's network.
	Namespace string
	// HyperV says that the pod's runtime isolates by Hyper-V.
	HyperV   bool
	Hostname string
	// Args begin with the program. Env has NAME=VALUE.
	Args, Env []string
	Cwd       string
	Terminal  bool
	Mounts    []Mount
}

// Mount is a file or folder of the node in a container.
type Mount struct {
	// Source is the node's path, Destination the container's, both as the node's system has
	// them.
	Source, Destination string
	ReadOnly            bool
}

// Stats is what a container uses.
type Stats struct {
	// CPU is in nanoseconds, Memory in bytes.
	CPU, Memory uint64
	// Pids are the node's.
	Pids []uint32
}

// Kind tells frames apart.
type Kind byte

// Kinds of frames. The first four go to the runner.
const (
	Stdin Kind = iota
	// CloseStdin has no data.
	CloseStdin
	// Signal has the signal's number.
	Signal
	// Resize has width and height of the terminal, as one number: width<<16 | height.
	Resize
	Stdout
	Stderr
	// Started has the process id.
	Started
	// Exited has the exit code. It is the last frame.
	Exited
)

// most is the longest frame: copies are of far smaller pieces.
const most = 1 << 20

// Conn sends and receives frames. Any goroutine may send, one may receive.
type Conn struct {
	io.ReadWriteCloser
	mu sync.Mutex
}

// Send sends a frame.
func (c *Conn) Send(k Kind, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Write(append(binary.BigEndian.AppendUint32([]byte{byte(k)}, uint32(len(data))), data...))
	return err
}

// SendNumber sends a frame of a number.
func (c *Conn) SendNumber(k Kind, n uint32) error {
	return c.Send(k, binary.BigEndian.AppendUint32(nil, n))
}

// Receive returns the next frame.
func (c *Conn) Receive() (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > most {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	data := make([]byte, n)
	_, err := io.ReadFull(c, data)
	return Kind(head[0]), data, err
}

// Number returns the number of a frame that has one.
func Number(data []byte) (uint32, error) {
	if len(data) != 4 {
		return 0, errors.New("not a number")
	}
	return binary.BigEndian.Uint32(data), nil
}

// Writer makes a stream of frames of a kind.
func (c *Conn) Writer(k Kind) io.Writer { return writer{c, k} }

type writer struct {
	c *Conn
	k Kind
}

func (w writer) Write(b []byte) (int, error) {
	for n := 0; n < len(b); n += most {
		if err := w.c.Send(w.k, b[n:min(len(b), n+most)]); err != nil {
			return n, err
		}
	}
	return len(b), nil
}

// WriteJSON sends a request or an answer: its length, then JSON.
func WriteJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

// ReadJSON receives what WriteJSON sent.
func ReadJSON(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > most {
		return fmt.Errorf("a request of %d bytes", n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
