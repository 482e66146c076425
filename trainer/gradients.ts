import { elementwiseGradients } from './gradients/elementwise.js';
import { layoutGradients } from './gradients/layout.js';
import type { GradientRule } from './gradients/nodeGradient.js';
import { productGradients } from './gradients/products.js';
import { recurrentGradients } from './gradients/recurrent.js';
import { reductionGradients } from './gradients/reductions.js';
import { windowGradients } from './gradients/windows.js';

/** The table of derivatives. Vector-Jacobian products as in any text on reverse mode, e.g. Griewank and Walther 2008, chapter 3. */
export const gradientRules: Record<string, GradientRule> = {
  ...elementwiseGradients,
  ...layoutGradients,
  ...productGradients,
  ...recurrentGradients,
  ...reductionGradients,
  ...windowGradients,
};
