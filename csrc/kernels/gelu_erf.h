/* GELU by the error function, with its slope; included inside a kernel file behind elementary.h, and therefore without a
 * guard.
 *
 *   g = z Phi(z),   g' = Phi(z) + z phi(z)                                       Hendrycks & Gimpel 2016, equation 1
 *   phi(z) = e^(-z^2/2) / sqrt(2 pi),   Phi(-a) = 1 - Phi(a) = e^(-a^2/2) P(a) / Q(a),   a >= 0
 *
 * P / Q is the rational function with the least relative error up to GELU_END, fitted by iterated least squares in 50
 * digits: 5.6e-9 for float, 5.5e-17 for double. All coefficients are positive, so nothing cancels; one exponential and
 * one division serve value and slope. Beyond GELU_END the exponential is 0. */
#if EN_IS_DOUBLE
#define GELU_END C(39)
#define GELU_P(a) \
    (C(0.49999999999999997632) + a * (C(0.77490287370788329587) + a * (C(0.59408602882810779145) \
     + a * (C(0.28935955035730109039) + a * (C(0.097710718427208122333) + a * (C(0.023625652697327585072) \
     + a * (C(0.0040899376519517441106) + a * (C(4.9049677917624562208e-4) + a * (C(3.7260109020047547084e-5) \
     + a * C(1.3858860005718291065e-6))))))))))
#define GELU_Q(a) \
    (C(1) + a * (C(2.3476903082186225054) + a * (C(2.5613579081306807727) + a * (C(1.7145033964568488916) \
     + a * (C(0.78211355578297731154) + a * (C(0.25498959673861064878) + a * (C(0.060443274774787926434) \
     + a * (C(0.010345350591507856405) + a * (C(0.0012329669965313413947) + a * (C(9.3397242783362231641e-5) \
     + a * C(3.4739010344588664486e-6)))))))))))
#else
#define GELU_END C(14.5)
#define GELU_P(a) \
    (C(0.50000000253154939568) + a * (C(0.43711173735077277117) + a * (C(0.18235217974052166442) \
     + a * (C(0.040333666085749384562) + a * C(0.0040712641960671196859)))))
#define GELU_Q(a) \
    (C(1) + a * (C(1.6721084050140143143) + a * (C(1.1988495078742898629) + a * (C(0.46713788858379418104) \
     + a * (C(0.10110833978156730259) + a * C(0.010205016747099420127))))))
#endif

EN_INLINE REAL EN_NAME(gelu_erf)(REAL z, REAL *slope)
{
    REAL a = FABS(z);
    a = a > GELU_END ? GELU_END : a; /* which also keeps infinities from meeting the zero of the exponential */
    const REAL e = EN_NAME(exp)(a * a * C(-0.5)), tail = e * (GELU_P(a) / GELU_Q(a));
    const REAL share = z < C(0) ? tail : C(1) - tail;
    const REAL near = z < C(0) ? -a : a;
    *slope = share + near * e * C(0.39894228040143267794); /* 1 / sqrt(2 pi) */
    return (z < C(0) ? near : z) * share;
}

#undef GELU_END
#undef GELU_P
#undef GELU_Q
