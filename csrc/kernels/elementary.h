/* Elementary functions for the loops of one (dtype, instruction set); included inside a kernel file, after REAL and
 * EN_NAME are defined, and therefore without an include guard.
 *
 *   EN_NAME(exp), EN_NAME(log), EN_NAME(tanh)          within 1.5 ulp of the exact value (measured 1.11)
 *   EN_NAME(expm1), EN_NAME(log1p), EN_NAME(sigmoid)   within 3 ulp (measured 2.29)
 *
 * over the whole range: denormal arguments and results, signed zeros, infinities, NaN, overflow and underflow.
 * libm's functions are calls, which keep a loop scalar; these have no branch and no call, so plain loops over them
 * are vectorised on every instruction set. That is why choices are selections between two computed values, why
 * integers are only added, masked and shifted logically (SSE2 has no 64-bit comparison or arithmetic shift), and why
 * conversions between integers and reals go through the bits of a large real.
 *
 * Reductions: Cody & Waite 1980 (exp); Sun's fdlibm e_log.c, s_log1p.c (log); Lambert's continued fraction (tanh). */

#if EN_IS_DOUBLE
#define MANTISSA_BITS 52
#define BIAS 1023                      /* of the exponent */
#define INTEGER_SPACING 0x1p52         /* from here on, neighbouring reals are 1 apart */
#define LN2_HI 0x1.62e42feep-1         /* 32 bits: a product with an exponent is exact */
#define LN2_LO 1.90821492927058770002e-10
#define EXP_ZERO (-746.0)              /* exp of this and anything below is 0 */
#define EXP_INFINITE 710.0
#define EXPM1_MINUS_ONE (-40.0)
#define SMALLEST_NORMAL 0x1p-1022
#define COPYSIGN EN_COPYSIGN
#else
#define MANTISSA_BITS 23
#define BIAS 127
#define INTEGER_SPACING 0x1p23f
#define LN2_HI 0x1.62e4p-1f            /* 15 bits */
#define LN2_LO 1.42860682030941723212e-6f
#define EXP_ZERO (-105.0f)
#define EXP_INFINITE 89.0f
#define EXPM1_MINUS_ONE (-20.0f)
#define SMALLEST_NORMAL 0x1p-126f
#define COPYSIGN EN_COPYSIGNF
#endif
#define ROUNDER (C(1.5) * INTEGER_SPACING) /* ROUNDER + x - ROUNDER rounds x; the sum's last bits hold the integer */

EN_INLINE BITS EN_NAME(to_bits)(REAL x)
{
    BITS bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

EN_INLINE REAL EN_NAME(from_bits)(BITS bits)
{
    REAL x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^k from k + BIAS. */
EN_INLINE REAL EN_NAME(power_of_two)(BITS biased) { return EN_NAME(from_bits)(biased << MANTISSA_BITS); }

/* q with exp(r) = 1 + r + r^2 q, |r| <= ln(2) / 2: the Taylor series sum 1/n! r^(n-2). The even and the odd powers
 * are summed side by side, because one long chain of dependent operations leaves the multipliers waiting. */
EN_INLINE REAL EN_NAME(exp_tail)(REAL r)
{
    REAL z = r * r;
#if EN_IS_DOUBLE
    REAL odd = C(1.0 / 6227020800), even = C(1.0 / 479001600);
    odd = odd * z + C(1.0 / 39916800), even = even * z + C(1.0 / 3628800);
    odd = odd * z + C(1.0 / 362880), even = even * z + C(1.0 / 40320);
    odd = odd * z + C(1.0 / 5040), even = even * z + C(1.0 / 720);
#else
    REAL odd = C(1.0 / 5040), even = C(1.0 / 720);
#endif
    odd = odd * z + C(1.0 / 120), even = even * z + C(1.0 / 24);
    odd = odd * z + C(1.0 / 6), even = even * z + C(1.0 / 2);
    return odd * r + even;
}

/* e^x = 2^n e^r with n = round(x / ln 2). 2^n is multiplied in two factors: the first product is exact, the second
 * rounds a denormal result once or overflows. A NaN passes the clamps and spoils r. */
EN_INLINE REAL EN_NAME(exp)(REAL x)
{
    x = x < EXP_ZERO ? EXP_ZERO : x;
    x = x > EXP_INFINITE ? EXP_INFINITE : x;
    REAL shifted = x * C(1.44269504088896340736) + ROUNDER; /* 1 / ln 2 */
    REAL n = shifted - ROUNDER;
    REAL r = (x - n * LN2_HI) - n * LN2_LO;
    BITS biased = EN_NAME(to_bits)(shifted) - EN_NAME(to_bits)(ROUNDER) + 2 * BIAS;
    BITS half = biased >> 1;
    REAL y = C(1) + (r + r * r * EN_NAME(exp_tail)(r));
    return y * EN_NAME(power_of_two)(half) * EN_NAME(power_of_two)(biased - half);
}

/* e^x - 1 = ((e^r - 1) 2^h + (2^h - 2^(h-n))) 2^(n-h),  h = floor(n / 2): every term is exact but e^r - 1. */
EN_INLINE REAL EN_NAME(expm1)(REAL x)
{
    REAL sign = x;
    x = x < EXPM1_MINUS_ONE ? EXPM1_MINUS_ONE : x;
    x = x > EXP_INFINITE ? EXP_INFINITE : x;
    REAL shifted = x * C(1.44269504088896340736) + ROUNDER;
    REAL n = shifted - ROUNDER;
    REAL r = (x - n * LN2_HI) - n * LN2_LO;
    BITS biased = EN_NAME(to_bits)(shifted) - EN_NAME(to_bits)(ROUNDER) + 2 * BIAS;
    BITS half = biased >> 1;
    REAL first = EN_NAME(power_of_two)(half), second = EN_NAME(power_of_two)(biased - half);
    REAL inverse = EN_NAME(power_of_two)(2 * BIAS + half - biased);
    REAL y = r + r * r * EN_NAME(exp_tail)(r);
    return COPYSIGN((y * first + (first - inverse)) * second, sign);
}

/* log(u + c) for a normal u > 0 and |c| far below u, given as correction = c / u.
 * u = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2);  s = f / (2 + f);
 * log(1 + f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R)),   R = sum of 2/(2j+1) s^2j, j >= 1 */
EN_INLINE REAL EN_NAME(log_of_sum)(REAL u, REAL correction, REAL exponent_shift)
{
    const BITS root_half = EN_NAME(to_bits)(C(0.70710678118654752440));
    BITS bits = EN_NAME(to_bits)(u) + (EN_NAME(to_bits)(C(1)) - root_half);
    REAL k = EN_NAME(from_bits)((bits >> MANTISSA_BITS) | EN_NAME(to_bits)(INTEGER_SPACING));
    k = k - (INTEGER_SPACING + C(BIAS)) + exponent_shift;
    REAL f = EN_NAME(from_bits)((bits & (((BITS)1 << MANTISSA_BITS) - 1)) + root_half) - C(1);
    REAL s = f / (C(2) + f), z = s * s, w = z * z;
#if EN_IS_DOUBLE
    REAL odd = C(2.0 / 19), even = C(2.0 / 21);
    odd = odd * w + C(2.0 / 15), even = even * w + C(2.0 / 17);
    odd = odd * w + C(2.0 / 11), even = even * w + C(2.0 / 13);
    odd = odd * w + C(2.0 / 7), even = even * w + C(2.0 / 9);
#else
    REAL odd = C(2.0 / 7), even = C(2.0 / 9);
#endif
    odd = odd * w + C(2.0 / 3), even = even * w + C(2.0 / 5);
    REAL R = (even * z + odd) * z;
    REAL half_square = C(0.5) * f * f;
    return k * LN2_HI - ((half_square - (s * (half_square + R) + (k * LN2_LO + correction))) - f);
}

/* log(x) from log_of_sum's result for positive finite x: infinity and NaN are kept, log(0) = -inf, log(x < 0) = NaN. */
EN_INLINE REAL EN_NAME(log_at_edges)(REAL x, REAL y)
{
    y = x < C(INFINITY) ? y : x;
    REAL not_positive = x == C(0) ? -C(INFINITY) : C(NAN);
    return x > C(0) ? y : not_positive;
}

/* Denormal arguments are scaled up by a power of two first, because their exponent bits do not hold the exponent. */
EN_INLINE REAL EN_NAME(log)(REAL x)
{
    REAL scaled = x * (INTEGER_SPACING * C(4));
    REAL u = x < SMALLEST_NORMAL ? scaled : x;
    REAL exponent_shift = x < SMALLEST_NORMAL ? -C(MANTISSA_BITS + 2) : C(0);
    return EN_NAME(log_at_edges)(x, EN_NAME(log_of_sum)(u, C(0), exponent_shift));
}

/* log(1 + x) = log(u + c),  u = 1 + x rounded, c = x - (u - 1) what the rounding lost. */
EN_INLINE REAL EN_NAME(log1p)(REAL x)
{
    REAL u = C(1) + x;
    REAL y = EN_NAME(log_of_sum)(u, (x - (u - C(1))) / u, C(0));
    return COPYSIGN(EN_NAME(log_at_edges)(u, y), x);
}

/* tanh x = x + x z P(z) / Q(z),  z = x^2: Lambert's x / (1 + z / (3 + z / (5 + ...))) cut off; from 0.9 on
 * tanh x = 1 - 2 / (e^2x + 1). One division serves both. */
EN_INLINE REAL EN_NAME(tanh)(REAL x)
{
    REAL a = FABS(x), z = a * a;
#if EN_IS_DOUBLE
    REAL P = C(11486475) + z * (C(810810) + z * (C(12870) + z * C(44)));
    REAL Q = C(34459425) + z * (C(16216200) + z * (C(945945) + z * (C(13860) + z * C(45))));
#else
    REAL P = C(3465) + z * (C(189) + z);
    REAL Q = C(10395) + z * (C(4725) + z * (C(210) + z));
#endif
    REAL e = EN_NAME(exp)(a + a);
    REAL numerator = a < C(0.9) ? a * z * P : C(2);
    REAL denominator = a < C(0.9) ? Q : e + C(1);
    REAL limit = a < C(0.9) ? a : C(1);
    return COPYSIGN(limit - numerator / denominator, x);
}

/* 1 / (1 + e^-x); e^x / (1 + e^x) for x < 0, which does not overflow. */
EN_INLINE REAL EN_NAME(sigmoid)(REAL x)
{
    REAL e = EN_NAME(exp)(-FABS(x));
    REAL numerator = x < C(0) ? e : C(1);
    return numerator / (C(1) + e);
}

#undef MANTISSA_BITS
#undef BIAS
#undef INTEGER_SPACING
#undef LN2_HI
#undef LN2_LO
#undef EXP_ZERO
#undef EXP_INFINITE
#undef EXPM1_MINUS_ONE
#undef SMALLEST_NORMAL
#undef COPYSIGN
#undef ROUNDER
