// SPDX-License-Identifier: Apache-2.0

package offspring

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Bind binds what this process starts from now on, and what that starts, to its own end.
// It puts the process into a job that ends with the last handle to it, which is the
// process's own (Microsoft, "Job Objects", JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE).
var Bind = sync.OnceValue(bind)

func bind() error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return fmt.Errorf("make a job for child processes: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err == nil {
		err = windows.AssignProcessToJobObject(job, windows.CurrentProcess())
	}
	if err != nil {
		_ = windows.CloseHandle(job) // nothing is in it
		return fmt.Errorf("make a job for child processes: %w", err)
	}
	return nil
}
