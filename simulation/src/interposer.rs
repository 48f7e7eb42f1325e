//! Chance from a seed, for code that asks the operating system.
//!
//! Hash maps, `rand` and ring draw from `getrandom`, which the seams can't reach. This module defines the
//! two C symbols by which they all come (`getrandom`, and `syscall` with the number of getrandom, which is
//! ring's way), so that the linker prefers them to the C library's. A thread that called [`seed_thread`]
//! gets a repeatable stream; every other thread, and every other system call, passes straight through to
//! the kernel.
//!
//! Hash keys are made once a thread, on first use: call [`seed_thread`] first thing in a fresh thread. Some
//! state is made once a process (allocators of ids, global registries): simulate one seed a process.
//!
//! This is the one module of the project with unsafe code: it stands in for C functions.
#![allow(unsafe_code)]

use std::cell::Cell;

thread_local! {
    /// The state of the stream, once the thread is seeded. Const and without a destructor, so that it can
    /// be read at any time in the life of a thread.
    static STREAM: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on this thread's entropy is a stream made of `seed`.
pub fn seed_thread(seed: u64) {
    STREAM.set(Some(seed));
}

/// The next number of the stream: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Fills `length` bytes at `buffer` if the thread is seeded, and says whether it did.
///
/// # Safety
/// `buffer` must be writable for `length` bytes.
unsafe fn fill(buffer: *mut u8, length: usize) -> bool {
    let Some(mut state) = STREAM.get() else { return false };
    let mut written = 0;
    while written < length {
        let word = next(&mut state).to_le_bytes();
        let part = word.len().min(length - written);
        // SAFETY: `written + part <= length`, and the caller vouches for `length` bytes. The word is on our
        // stack, so the two can't overlap.
        unsafe { std::ptr::copy_nonoverlapping(word.as_ptr(), buffer.add(written), part) };
        written += part;
    }
    STREAM.set(Some(state));
    true
}

/// A system call, past the C library. Returns what the kernel returns: a negated error number on failure.
///
/// # Safety
/// As the call of this number with these arguments.
unsafe fn kernel(number: i64, arguments: [i64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    let result: i64;
    // SAFETY: the calling convention of Linux on x86-64: number in rax, arguments in these registers, rcx
    // and r11 clobbered. What the call itself does is the caller's business.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    // SAFETY: the calling convention of Linux on AArch64: number in x8, arguments in x0 to x5, result in x0.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}

/// Turns the kernel's result into the C library's: -1 and `errno`.
///
/// # Safety
/// None beyond a thread that has an `errno`, which every thread has.
unsafe fn c_result(result: i64) -> i64 {
    if !(-4095..0).contains(&result) {
        return result;
    }
    // SAFETY: the C library gives every thread a valid `errno`, and an error number fits an i32.
    unsafe { *libc::__errno_location() = -result as i32 };
    -1
}

/// `getrandom(2)` of the C library.
///
/// # Safety
/// As in C: `buffer` must be writable for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, flags: u32) -> isize {
    // SAFETY: the caller vouches for the buffer.
    if unsafe { fill(buffer, length) } {
        return length as isize;
    }
    let arguments = [buffer as i64, length as i64, i64::from(flags), 0, 0, 0];
    // SAFETY: the same call with the same arguments, one layer below.
    unsafe { c_result(kernel(libc::SYS_getrandom, arguments)) as isize }
}

/// `syscall(2)` of the C library, by which ring asks for entropy. Variadic in C; on both architectures the
/// arguments come in the registers in which this function expects them, and superfluous ones are never
/// looked at.
///
/// # Safety
/// As the call of this number with these arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(number: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64) -> i64 {
    // SAFETY: for this number the first two arguments are a buffer and its length.
    if number == libc::SYS_getrandom && b >= 0 && unsafe { fill(a as *mut u8, b as usize) } {
        return b;
    }
    // SAFETY: passed on as it came.
    unsafe { c_result(kernel(number, [a, b, c, d, e, f])) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        hash::{BuildHasher, RandomState},
        thread,
    };

    #[expect(clippy::disallowed_methods, reason = "a fresh thread is what is tested")]
    fn in_fresh_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        thread::spawn(work).join().expect("the thread ends without a panic")
    }

    fn by_syscall() -> [u8; 11] {
        let mut bytes = [0; 11];
        // SAFETY: the buffer is as long as said.
        let got = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), 0) };
        assert_eq!(got, 11);
        bytes
    }

    #[test]
    fn a_seeded_thread_repeats_itself() {
        let draw = |seed| {
            in_fresh_thread(move || {
                seed_thread(seed);
                (RandomState::new().hash_one("key"), by_syscall())
            })
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn other_threads_get_real_entropy() {
        let draw = || in_fresh_thread(|| (RandomState::new().hash_one("key"), by_syscall()));
        assert_ne!(draw(), draw());
    }

    #[test]
    fn errors_come_back_as_in_c() {
        // SAFETY: closing a descriptor that can't exist changes nothing.
        let result = unsafe { libc::syscall(libc::SYS_close, -1) };
        assert_eq!(result, -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EBADF));
    }
}
