// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
)

var _ hnsemu.Control = (*Client)(nil)

// Control calls a method of hnsemu.Control by name: arguments and result are
// JSON. The typed methods are this with their types put back.
func (c *Client) Control(verb string, args ...json.RawMessage) (json.RawMessage, error) {
	call := hnsemu.Call{Proc: controlProc(verb)}
	for _, arg := range args {
		call.Args = append(call.Args, string(arg))
	}
	reply, err := c.Call(context.Background(), call)
	switch {
	case err != nil:
		return nil, err
	case reply.Code == controlFailed:
		return nil, errors.New(reply.Record)
	case reply.Code.Failed():
		return nil, fmt.Errorf("%s: %s", verb, reply.Code)
	}
	return json.RawMessage(reply.Out), nil
}

func ask[T any](c *Client, verb string, args ...any) (result T, err error) {
	texts := make([]json.RawMessage, len(args))
	for i, arg := range args {
		if texts[i], err = json.Marshal(arg); err != nil {
			return result, fmt.Errorf("%s: %w", verb, err)
		}
	}
	out, err := c.Control(verb, texts...)
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return result, fmt.Errorf("%s: %w", verb, err)
	}
	return result, nil
}

func tell(c *Client, verb string, args ...any) error {
	_, err := ask[any](c, verb, args...)
	return err
}

// Dump prints the emulator's objects.
func (c *Client) Dump() (string, error) { return ask[string](c, "Dump") }

// State returns the emulator's objects.
func (c *Client) State() (hnsemu.State, error) { return ask[hnsemu.State](c, "State") }

// Calls returns the native calls since the log was last reset.
func (c *Client) Calls() ([]hnsemu.LoggedCall, error) { return ask[[]hnsemu.LoggedCall](c, "Calls") }

// Counts returns how many native calls each function has had.
func (c *Client) Counts() (map[string]int, error) { return ask[map[string]int](c, "Counts") }

// ResetLog empties Calls and Counts.
func (c *Client) ResetLog() error { return tell(c, "ResetLog") }

// Evaluate says what would become of a packet.
func (c *Client) Evaluate(p hnsemu.Packet) (hnsemu.Verdict, error) {
	return ask[hnsemu.Verdict](c, "Evaluate", p)
}

// AddFault arms one fault.
func (c *Client) AddFault(f hnsemu.Fault) error { return tell(c, "AddFault", f) }

// ClearFaults disarms all faults.
func (c *Client) ClearFaults() error { return tell(c, "ClearFaults") }

// SetLatency delays every call.
func (c *Client) SetLatency(perCall time.Duration, serialise bool) error {
	return tell(c, "SetLatency", perCall, serialise)
}

// SetUnknowns chooses between answers that nobody has seen.
func (c *Client) SetUnknowns(u hnsemu.Unknowns) error { return tell(c, "SetUnknowns", u) }

// StopService stops HNS.
func (c *Client) StopService() error { return tell(c, "StopService") }

// StartService starts HNS.
func (c *Client) StartService() error { return tell(c, "StartService") }

// RestartService stops and starts HNS.
func (c *Client) RestartService() error { return tell(c, "RestartService") }

// Reboot restarts the node.
func (c *Client) Reboot() error { return tell(c, "Reboot") }

// StartContainer starts a container in a namespace.
func (c *Client) StartContainer(ctr hnsemu.Container) error { return tell(c, "StartContainer", ctr) }

// StopContainer ends a container.
func (c *Client) StopContainer(id string) error { return tell(c, "StopContainer", id) }

// SetNode replaces what surrounds HNS on the node.
func (c *Client) SetNode(n hnsemu.Node) error { return tell(c, "SetNode", n) }
