//! The program's allocator: where the system refuses memory, the program ends with an error in one line.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, but for memory that is refused (`ulimit -v`, a control group without swap): a program
/// would be ended by a signal there, without a word that helps.
pub struct Allocator {
    /// What the user can do then, with a newline at the end.
    pub advice: &'static str,
}

// SAFETY: every call is passed to the system's allocator as it is; a null pointer never returns.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one that is asked for.
        self.granted(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.granted(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as above.
        self.granted(unsafe { System.realloc(old, layout, bytes) }, bytes)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

impl Allocator {
    fn granted(&self, memory: *mut u8, bytes: usize) -> *mut u8 {
        if memory.is_null() {
            refused(bytes, self.advice);
        }
        memory
    }
}

/// Says so without allocating, and ends the program: nobody up the stack is prepared to go on.
#[cold]
fn refused(bytes: usize, advice: &str) -> ! {
    let mut digits = [0; 20];
    for part in
        [b"error: the system refuses ", decimal(bytes, &mut digits), b" bytes of memory; ", advice.as_bytes()]
    {
        // Nothing is left to be done if standard error is closed.
        let _ = rustix::io::write(rustix::stdio::stderr(), part);
    }
    // SAFETY: ends the process at once; handlers that run at exit might want memory.
    unsafe { libc::_exit(1) }
}

fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[first..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_whole() {
        let mut digits = [0; 20];
        for number in [0, 7, 10, 131_072, usize::MAX] {
            assert_eq!(decimal(number, &mut digits), number.to_string().as_bytes());
        }
    }
}
