// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
)

// program is the file that kube-proxy is called.
const program = "kube-proxy.exe"

// Running returns the node's kube-proxy processes. One that ends meanwhile is left out.
func Running() ([]Process, error) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, fmt.Errorf("list the node's processes: %w", err)
	}
	defer windows.CloseHandle(snapshot) //nolint:errcheck // it was only read
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	var out []Process
	var failures []error
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		if !strings.EqualFold(windows.UTF16ToString(entry.ExeFile[:]), program) {
			continue
		}
		p, err := inspect(entry.ProcessID)
		switch {
		case errors.Is(err, windows.ERROR_INVALID_PARAMETER): // it has ended
		case err != nil:
			failures = append(failures, fmt.Errorf("read how %s (process %d) was started: %w", program, entry.ProcessID, err))
		default:
			out = append(out, p)
		}
	}
	if !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		failures = append(failures, fmt.Errorf("list the node's processes: %w", err))
	}
	return out, errors.Join(failures...)
}

// inspect reads the parameters of a process, which are in its own memory (Microsoft, "PEB
// structure" and "RTL_USER_PROCESS_PARAMETERS structure").
func inspect(pid uint32) (Process, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_INFORMATION|windows.PROCESS_VM_READ, false, pid)
	if err != nil {
		return Process{}, err
	}
	defer windows.CloseHandle(h) //nolint:errcheck // it was only read
	var basic windows.PROCESS_BASIC_INFORMATION
	if err := windows.NtQueryInformationProcess(h, windows.ProcessBasicInformation, unsafe.Pointer(&basic), uint32(unsafe.Sizeof(basic)), nil); err != nil {
		return Process{}, err
	}
	m := memory{of: h}
	parameters := m.word(uintptr(unsafe.Pointer(basic.PebBaseAddress)) + unsafe.Offsetof(windows.PEB{}.ProcessParameters))
	var layout windows.RTL_USER_PROCESS_PARAMETERS
	line := parameters + unsafe.Offsetof(layout.CommandLine)
	length := m.word(line) & maxString
	command := m.text(m.word(line+unsafe.Offsetof(windows.NTUnicodeString{}.Buffer)), length)
	environment := m.text(m.word(parameters+unsafe.Offsetof(layout.Environment)), m.word(parameters+unsafe.Offsetof(layout.EnvironmentSize)))
	if m.err != nil {
		return Process{}, m.err
	}
	args, err := windows.DecomposeCommandLine(command)
	if err != nil {
		return Process{}, err
	}
	out := Parse(args, strings.Split(environment, "\x00"), readConfig)
	out.PID = pid
	return out, nil
}

// Bounds of what is read: a string that counts its bytes in 16 bits, and more than an
// environment or a configuration has.
const (
	maxString = 1<<16 - 1
	maxText   = 1 << 20
)

// memory is that of another process. After a failure it reads nothing.
type memory struct {
	of  windows.Handle
	err error
}

func (m *memory) read(at uintptr, into []byte) {
	if m.err == nil && len(into) > 0 {
		m.err = windows.ReadProcessMemory(m.of, at, &into[0], uintptr(len(into)), nil)
	}
}

// word reads a number of the machine's size.
func (m *memory) word(at uintptr) uintptr {
	var out uintptr
	m.read(at, unsafe.Slice((*byte)(unsafe.Pointer(&out)), unsafe.Sizeof(out)))
	return out
}

// text reads UTF-16 of so many bytes.
func (m *memory) text(at, length uintptr) string {
	const unit = 2
	if m.err == nil && length > maxText {
		m.err = fmt.Errorf("%d bytes of text", length)
	}
	if m.err != nil || length < unit {
		return ""
	}
	units := make([]uint16, length/unit)
	m.read(at, unsafe.Slice((*byte)(unsafe.Pointer(&units[0])), len(units)*unit))
	return string(utf16.Decode(units))
}

// readConfig reads a file of kube-proxy. A relative name is of its directory, not of this
// process's.
func readConfig(file string) ([]byte, error) {
	if !filepath.IsAbs(file) {
		return nil, fmt.Errorf("%s is relative to kube-proxy's directory", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxText))
}
