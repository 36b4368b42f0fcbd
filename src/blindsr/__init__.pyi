"""What type checkers and editors see of __init__.py, which imports each name when it is first used."""

from blindsr.api.alignment import AlignmentPenalty as AlignmentPenalty
from blindsr.api.alignment import affine_alignment as affine_alignment
from blindsr.api.alignment import affine_rff_alignment as affine_rff_alignment
from blindsr.api.alignment import content_alignment as content_alignment
from blindsr.api.alignment import linear_alignment as linear_alignment
from blindsr.api.alignment import log_euclidean_alignment as log_euclidean_alignment
from blindsr.api.alignment import pixel_alignment as pixel_alignment
from blindsr.api.alignment import rff_alignment as rff_alignment
from blindsr.api.degradations import BSRGANDegradation as BSRGANDegradation
from blindsr.api.degradations import RealESRGANDegradation as RealESRGANDegradation
from blindsr.api.hooks import FeatureHook as FeatureHook
from blindsr.api.metrics import Split as Split
from blindsr.api.metrics import detail_amplitude as detail_amplitude
from blindsr.api.metrics import detail_cosine as detail_cosine
from blindsr.api.metrics import psnr as psnr
from blindsr.api.metrics import psnr_best as psnr_best
from blindsr.api.metrics import psnr_y as psnr_y
from blindsr.api.metrics import split_difference as split_difference
from blindsr.api.metrics import ssim as ssim
from blindsr.api.networks import Upscaler as Upscaler
from blindsr.api.networks import load as load
from blindsr.api.networks import upscale as upscale
from blindsr.api.statistics import Gain as Gain
from blindsr.api.statistics import paired_gain as paired_gain
from blindsr.api.suite import CASES as CASES
from blindsr.api.suite import Suite as Suite
from blindsr.api.suite import SuiteImage as SuiteImage
from blindsr.runtime.errors import UserError as UserError

__version__: str
__all__: list[str]
